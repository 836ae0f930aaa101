"""Quota files of gateways, and our own -> dated rows of the seed rules/quota_rules.csv."""

from llm_spend.rules.problems import Problem, RuleFileError
from llm_spend.rules.quota import Condition, Evaluation, QuotaRule
from llm_spend.rules.quotas import RuleFile, check, read_rules
from llm_spend.rules.seed import ImportResult, SeedError, import_, write_seed

__all__ = [
    "Condition",
    "Evaluation",
    "ImportResult",
    "Problem",
    "QuotaRule",
    "RuleFile",
    "RuleFileError",
    "SeedError",
    "check",
    "import_",
    "read_rules",
    "write_seed",
]
