create table portkey__logs as
select *
from read_json(
    getvariable('files'),
    format = 'newline_delimited',
    ignore_errors = true,
    filename = true,
    columns = {
        id: 'varchar',
        created_at: 'timestamp',
        trace_id: 'varchar',
        internal_trace_id: 'varchar',
        workspace_slug: 'varchar',
        ai_org: 'varchar',
        ai_model: 'varchar',
        req_units: 'bigint',
        res_units: 'bigint',
        total_units: 'bigint',
        cost: 'decimal(38, 12)',
        cost_currency: 'varchar',
        request_url: 'varchar',
        response_time: 'decimal(18, 6)',
        response_status_code: 'bigint',
        is_success: 'boolean',
        mode: 'varchar',
        config: 'varchar',
        prompt_slug: 'varchar',
        cache_status: 'varchar',
        stream_mode: 'boolean',
        api_key_id: 'varchar',
        virtual_key: 'varchar',
        metadata: 'json'
    }
);
