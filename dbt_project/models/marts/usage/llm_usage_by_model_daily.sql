{{ usage_by(['provider', 'model_id', 'resolved_model']) }}
