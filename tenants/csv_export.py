"""Tables as CSV that a spreadsheet can open without running any cell as a formula."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Echo:
    """A file that returns each line that is written to it."""

    def write(self, line: str) -> str:
        """Return the line."""
        return line


def stream(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the table line by line, the column names first."""
    writer = csv.writer(Echo(), lineterminator="\r\n")  # RFC 4180
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([neutralize(cell) for cell in row])


def render(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the whole table as text. Each row is a mapping by column name."""
    return "".join(stream(columns, ([row[name] for name in columns] for row in rows)))


def neutralize(cell: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula. A number stays as it is."""
    is_formula = isinstance(cell, str) and cell.startswith(FORMULA_STARTS) and not _is_number(cell)
    return f"'{cell}" if is_formula else cell


def _is_number(text: str) -> bool:
    """Return whether the text is a number."""
    try:
        return bool(float(text)) or True
    except ValueError:
        return False
