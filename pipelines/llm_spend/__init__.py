"""llm-spend: know what LLMs cost, and who spent it."""

import os

# DuckDB writes whole blocks, and what a block does not use is memory as it was: of a process that read logs, prompts.
# Its allocator reads this once, when duckdb is imported. Pieces of up to 4 MB that it keeps at hand are overwritten;
# larger ones come from the system as new pages, which costs more.
ALLOCATOR = "DUCKDB_JE_MALLOC_CONF"
os.environ.setdefault(ALLOCATOR, "zero:true,lg_tcache_max:22")
