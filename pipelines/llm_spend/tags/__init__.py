"""Tags where they are written: in code and config, before they reach a gateway; and a registry proposed from usage."""

from llm_spend.tags.check import Report, check
from llm_spend.tags.registry import Registry, find_registry, seeds_folder

__all__ = ["Registry", "Report", "check", "find_registry", "seeds_folder"]
