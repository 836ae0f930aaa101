-- Has nothing to do with language models: only its name is that of a seed of llm_spend.
select
    1 as key_number,
    'quay 1, gate' as opens
