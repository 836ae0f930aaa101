"""Statements as files: a month's chargeback, what a customer gets, or charges for FinOps tools."""

from typing import Literal

Format = Literal["xlsx", "csv", "parquet", "html"]
Mode = Literal["chargeback", "showback"]
"""The same amounts: `chargeback` has a journal to book them."""

FocusFormat = Literal["csv", "parquet"]
FocusVersion = Literal["1.4", "1.2"]
"""Of FOCUS, the FinOps Open Cost and Usage Specification."""
