{{ config(**llm_spend.by_usage_date()) }}

{{ usage_by(
    [
        'provider', 'model_id', 'resolved_model', 'user_id', 'team_id', 'cost_center_id', 'feature_id', 'customer_id',
        'environment'
    ],
    unknown={'provider': '(unknown)', 'model_id': '(unresolved)', 'resolved_model': '(unknown)'},
    parts=['feedback_score_sum']
) }}
