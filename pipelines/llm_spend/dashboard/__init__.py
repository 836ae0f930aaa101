"""The live screen: a Streamlit app over the published tables of a DuckDB file, or over a warehouse."""
