{{ config(**llm_spend.by_usage_date()) }}

{{ usage_by(
    ['provider', 'model_id', 'resolved_model'],
    unknown={'provider': '(unknown)', 'model_id': '(unresolved)', 'resolved_model': '(unknown)'},
    costs=llm_spend.cost_columns()
) }}
