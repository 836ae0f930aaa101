{{ usage_by(['team_id', 'cost_center_id']) }}
