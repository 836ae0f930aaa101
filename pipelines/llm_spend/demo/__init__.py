"""The synthetic organisation: logs as real gateways write them, and the truth to hold the tables to."""

from llm_spend.demo.generate import LAST_DAY, DemoReport, Progress, generate
from llm_spend.demo.truth import Truth

__all__ = ["LAST_DAY", "DemoReport", "Progress", "Truth", "generate"]
