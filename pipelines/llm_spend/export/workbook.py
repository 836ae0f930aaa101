"""A document as a workbook for Excel, byte for byte the same each time.

An amount gets there as its decimal text. Excel reads it as the nearest double, which loses nothing: every number of up
to 15 digits has a double of its own, which is shown as the same digits. Sums are formulas, rounded to cents: adding
10,000 doubles up to a billion errs by less than a tenth of a cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_rowcol_to_cell

from llm_spend.errors import UserError
from llm_spend.export.document import UNKNOWN, Column, Document, Kind, Page, Table, Value
from llm_spend.export.names import is_like_a_formula, sheet_names, shown

_MOST = Decimal("9999999999999.99")  # 15 digits
_NUMBER_FORMATS: dict[Kind, str] = {
    "usd": "#,##0.00",
    "exact_usd": "#,##0.00##########",
    "count": "#,##0",
    "share": "0.0%",
    "month": "yyyy-mm",
    "day": "yyyy-mm-dd",
}
_WIDTHS = (9, 42)
_NO_TEXT_IS_ANYTHING_ELSE = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}


def workbook(document: Document) -> bytes:
    """The content of an xlsx file. Raises UserError for amounts of more than 15 digits."""
    content = BytesIO()
    with Workbook(content, {"in_memory": True, **_NO_TEXT_IS_ANYTHING_ELSE}) as book:
        # Without a time of its own the file would have that of its writing.
        made = datetime(document.period.year, document.period.month, 1)
        book.set_properties({"title": shown(document.title), "author": "llm-spend", "created": made})
        formats = _Formats(book)
        pages = (*document.pages, *document.sheets)
        for page, name in zip(pages, sheet_names(page.name for page in pages), strict=True):
            _Sheet(book.add_worksheet(name), formats).write(document, page)
    return content.getvalue()


class _Formats:
    """The formats of a book, made when they are asked for."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def get(self, **properties: Any) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format(properties)
        return self._made[key]


@dataclass
class _Sheet:
    sheet: Any
    formats: _Formats
    row: int = 0

    def write(self, document: Document, page: Page) -> None:
        self.sheet.set_landscape()
        self.sheet.set_paper(9)  # A4
        self.sheet.fit_to_pages(1, 0)
        self.sheet.set_footer("&L&A&RPage &P of &N")
        self._text(0, document.title, bold=True, font_size=14)
        self.row += 1
        self._text(0, page.title, bold=True, font_size=12)
        self.row += 1
        for fact in page.facts:
            self._text(0, fact.label, font_color="#555555")
            self._value(1, fact.kind, fact.value, align="left")
            self.row += 1
        for note in document.notes if page is document.pages[0] else ():
            self._text(0, note, italic=True)
            self.row += 1
        for table in page.tables:
            self.row += 1
            self._table(table)
        for column, width in enumerate(_column_widths(page.tables)):
            self.sheet.set_column(column, column, width)

    def _table(self, table: Table) -> None:
        self._text(0, table.title, bold=True)
        self.row += 1
        for place, column in enumerate(table.columns):
            align = "right" if column.is_number else "left"
            self._text(place, column.title, bold=True, bottom=1, align=align, text_wrap=True, valign="bottom")
        first = self.row = self.row + 1
        for row in table.rows:
            for place, (column, value) in enumerate(zip(table.columns, row, strict=True)):
                align = "right" if column.is_number else "left"
                self._value(place, column.kind, value, align=align)
            self.row += 1
        for place, value in enumerate(table.sums or ()):
            self._sum(place, table.columns[place], value, first)
        self.row += 1

    def _sum(self, place: int, column: Column, value: Value, first: int) -> None:
        if value is None:
            text = "Total" if place == 0 else UNKNOWN if column.is_summed else ""
            self._text(place, text, bold=True, top=1, align="left" if place == 0 else "right")
            return
        cells = f"{xl_rowcol_to_cell(first, place)}:{xl_rowcol_to_cell(self.row - 1, place)}"
        formula = f"=ROUND(SUM({cells}),2)" if column.kind == "usd" else f"=SUM({cells})"
        cell_format = self.formats.get(bold=True, top=1, num_format=_NUMBER_FORMATS[column.kind])
        self.sheet.write_formula(self.row, place, formula, cell_format, _number(value))

    def _value(self, place: int, kind: Kind, value: Value, **properties: Any) -> None:
        match value:
            case None if kind == "usd":
                self._text(place, UNKNOWN, font_color="#777777", italic=True, **properties)
            case None | "":
                return
            case str():
                self._text(place, value, **properties)
            case date():
                cell_format = self.formats.get(num_format=_NUMBER_FORMATS[kind], **properties)
                self.sheet.write_datetime(self.row, place, datetime(value.year, value.month, value.day), cell_format)
            case _:
                cell_format = self.formats.get(num_format=_NUMBER_FORMATS[kind], **properties)
                self.sheet.write_number(self.row, place, _number(value), cell_format)

    def _text(self, place: int, text: str, **properties: Any) -> None:
        safe = shown(text)
        if safe.startswith("<r>"):
            safe = f" {safe}"  # XlsxWriter would take it for markup of its own.
        if is_like_a_formula(safe):
            properties["quote_prefix"] = True  # It stays text when somebody edits the cell.
        self.sheet.write_string(self.row, place, safe, self.formats.get(**properties))


def _number(value: Any) -> Any:
    if abs(value) > _MOST:
        raise UserError(
            f"{value:,f} has more digits than a spreadsheet can keep.", "Export it with --format csv or parquet."
        )
    return value


def _column_widths(tables: tuple[Table, ...]) -> list[int]:
    """Wide enough for what stands in the tables, within bounds."""
    texts: dict[int, list[str]] = {}
    for table in tables:
        for row in (*table.rows, table.sums or ()):
            for place, value in enumerate(row):
                texts.setdefault(place, []).append("" if value is None else str(value))
    least, most = _WIDTHS
    return [min(most, max(least, *(len(text) * 4 // 3 + 2 for text in texts[place]))) for place in sorted(texts)]
