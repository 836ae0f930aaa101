{{ usage_by(['customer_id']) }}
