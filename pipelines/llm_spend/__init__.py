"""llm-spend: know what LLMs cost, and who spent it."""
