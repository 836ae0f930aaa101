"""llm-spend in Dagster: what is loaded and what dbt builds as one graph of assets. It calls what the command calls."""
