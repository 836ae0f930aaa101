{{ usage_by(['user_id']) }}
