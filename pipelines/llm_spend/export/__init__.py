"""Statements as files: a month's chargeback, or what a customer gets, as xlsx, csv, parquet or html."""

from typing import Literal

Format = Literal["xlsx", "csv", "parquet", "html"]
Mode = Literal["chargeback", "showback"]
"""The same amounts: `chargeback` has a journal to book them."""
