"""A month of LLM spend as one HTML file: charts, tables and filters, with everything that they need inside."""
