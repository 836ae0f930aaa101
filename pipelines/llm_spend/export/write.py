"""Write a statement into files of a format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from llm_spend.destinations.base import Destination
from llm_spend.export import Format, Mode, chargeback, customer
from llm_spend.export.bill import read_bill
from llm_spend.export.document import Document
from llm_spend.export.files import write_files


@dataclass(frozen=True)
class Exported:
    """What was written. `total_usd` is whole cents, None when it is not known; `notes` say what it does not tell."""

    period: date
    status: str
    is_final: bool
    total_usd: Decimal | None
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def export_chargeback(
    destination: Destination,
    period: date,
    file_format: Format,
    folder: Path,
    mode: Mode = "chargeback",
    billing_timezone: str = "UTC",
) -> Exported:
    """Write the statement of the month that begins on `period` into a folder; `billing_timezone` is the setting.

    Raises UserError when the warehouse has no statement of it, and when a file can't be written.
    """
    bill = read_bill(destination, period)
    return _write(chargeback.document(bill, mode, billing_timezone), bill.total_usd, file_format, folder)


def export_customer(
    destination: Destination, customer_id: str, period: date, file_format: Format, folder: Path
) -> Exported:
    """Write what a customer gets for the month that begins on `period` into a folder.

    Raises UserError when the warehouse has no statement of it, and when a file can't be written.
    """
    statement = customer.read_customer(destination, customer_id, period)
    return _write(customer.document(statement), statement.total_usd, file_format, folder)


def _write(document: Document, total_usd: Decimal | None, file_format: Format, folder: Path) -> Exported:
    files = write_files(folder, _contents(document, file_format))
    return Exported(document.period, document.status, document.is_final, total_usd, document.notes, files)


def _contents(document: Document, file_format: Format) -> Mapping[str, bytes]:
    """The files that a document is, by their names. What writes a format is imported when it is wanted."""
    match file_format:
        case "xlsx":
            from llm_spend.export.workbook import workbook

            return {f"{document.name}.xlsx": workbook(document)}
        case "html":
            from llm_spend.export.page import page

            return {f"{document.name}.html": page(document)}
        case "csv":
            from llm_spend.export.data import as_csv

            return {f"{document.name}-{name}.csv": as_csv(table) for name, table in document.data.items()}
        case "parquet":
            from llm_spend.export.data import as_parquet

            return {f"{document.name}-{name}.parquet": as_parquet(table) for name, table in document.data.items()}
