"""Quota files of a gateway -> dated rows of the seed rules/quota_rules.csv."""

from llm_spend.rules.problems import Problem, RuleFileError
from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.quotas import check, import_rules
from llm_spend.rules.seed import ImportResult, SeedError, import_, write_seed

__all__ = [
    "Evaluation",
    "ImportResult",
    "Problem",
    "QuotaRule",
    "RuleFileError",
    "SeedError",
    "check",
    "import_",
    "import_rules",
    "write_seed",
]
