"""Tables as CSV that a spreadsheet can open without running any cell as a formula.

A table leaves this process whole or not at all: where its rows break off, no file and no answer looks like a table.
"""

import csv
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.http import FileResponse

BLOCK_BYTES = 64 * 1024  # of an answer; the server waits after each piece
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


def respond(file_name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> FileResponse:
    """Return the table as a file to download, once every row is there. Raise what the rows raise.

    The web server ends the answer of an iterator that raises like any other, so the caller would see a whole file.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the response closes it
    try:
        for line in stream(columns, rows):
            file.write(line.encode())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    response = FileResponse(file, as_attachment=True, filename=file_name, content_type="text/csv; charset=utf-8")
    response.block_size = BLOCK_BYTES
    return response


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the table to a file. Raise OSError, and leave no part of a table there, if it cannot be written whole."""
    try:
        path.write_text(render(columns, rows), newline="")
    except OSError:
        if path.is_file():
            path.unlink()
        raise


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
