{{ config(**llm_spend.by_usage_date()) }}

{{ usage_by(['customer_id']) }}
