"""The models that Northwind calls, by the names it calls them by."""

from __future__ import annotations

from llm_spend.demo.calls import Model
from llm_spend.demo.organisation import IN_HOUSE_MODEL

GPT_4O = Model("gpt-4o", "gpt-4o", "openai", 6.9, 5.5)
GPT_4O_DATED = Model("gpt-4o-2024-08-06", "gpt-4o", "openai", 6.9, 5.5)
GPT_4O_MINI = Model("gpt-4o-mini", "gpt-4o-mini", "openai", 6.5, 5.2)
GPT_4_1 = Model("gpt-4.1", "gpt-4.1", "openai", 7.4, 5.6)
GPT_5_MINI = Model("gpt-5-mini", "gpt-5-mini", "openai", 6.6, 6.0)
GPT_5_6_SOL = Model("gpt-5.6-sol", "gpt-5.6-sol", "openai", 7.0, 6.0)
O4_MINI = Model("o4-mini-2025-04-16", "o4-mini", "openai", 6.3, 6.8)
SONNET = Model("claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic", 8.3, 6.0)
SONNET_DATED = Model("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "anthropic", 8.3, 6.0)
HAIKU = Model("claude-haiku-4-5", "claude-haiku-4-5", "anthropic", 7.2, 5.3)
GEMINI_PRO = Model("gemini-2.5-pro", "gemini-2.5-pro", "google", 7.6, 6.1)
GEMINI_FLASH = Model("gemini-2.5-flash", "gemini-2.5-flash", "google", 7.0, 5.6)
GEMINI_3_5_FLASH = Model("gemini-3.5-flash", "gemini-3.5-flash", "google", 7.0, 5.6)
EMBEDDING = Model("text-embedding-3-small", "text-embedding-3-small", "openai", 6.0, 0.0, "embedding")
IN_HOUSE = Model(IN_HOUSE_MODEL, None, "openai", 6.5, 5.0)
