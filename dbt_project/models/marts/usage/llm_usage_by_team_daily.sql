{{ config(**llm_spend.by_usage_date()) }}

{{ usage_by(['team_id', 'cost_center_id']) }}
