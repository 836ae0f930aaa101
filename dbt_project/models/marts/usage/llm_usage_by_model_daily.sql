{{ usage_by(
    ['provider', 'model_id', 'resolved_model'],
    unknown={'provider': '(unknown)', 'model_id': '(unresolved)', 'resolved_model': '(unknown)'}
) }}
