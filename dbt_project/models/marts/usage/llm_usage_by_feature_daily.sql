{{ usage_by(['feature_id']) }}
