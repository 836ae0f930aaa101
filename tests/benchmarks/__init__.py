"""What the package costs beside DuckDB alone and SQL written by hand: `make bench`, docs/performance.md."""
