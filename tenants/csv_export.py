"""Tables as CSV that a spreadsheet can open without running anything."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Echo:
    """A file that gives back what is written to it, line by line."""

    def write(self, line: str) -> str:
        return line


def lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the table line by line, its head first."""
    writer = csv.writer(Echo(), lineterminator="\r\n")  # RFC 4180
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([neutral(cell) for cell in row])


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(lines(columns, ([row[name] for name in columns] for row in rows)))


def neutral(cell: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe; a number stays one."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        return bool(float(text)) or True
    except ValueError:
        return False
