"""Tables leave as a whole or not at all, and no code reads by a cursor that a pooler would lose."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenants import csv_export

ROOT = Path(__file__).parents[2]
# Their callers hold a transaction, to which a pooler lends one connection until the transaction ends.
IN_A_TRANSACTION = {"tenants/money/ledger.py"}


def broken() -> Iterator[list[int]]:
    yield [1]
    raise ConnectionError("the rows break off")


def test_a_table_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(ConnectionError):
        csv_export.respond("t.csv", ["a"], broken())


@pytest.mark.django_db  # at its end Django looks at the connection
def test_an_answer_says_how_long_it_is() -> None:
    response = csv_export.respond("t.csv", ["a", "b"], ([number, "ä"] for number in range(50_000)))
    content = b"".join(response)
    assert int(response["Content-Length"]) == len(content) > 300_000
    assert response["Content-Disposition"] == 'attachment; filename="t.csv"'
    assert content.decode().split("\r\n")[-2] == "49999,ä"
    response.close()


def test_a_file_that_cannot_be_written_whole_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bill.csv"
    write_text = Path.write_text

    def fill_the_disk(self: Path, text: str, **options: str) -> int:
        write_text(self, text[:5], **options)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", fill_the_disk)
        with pytest.raises(OSError, match="No space"):
            csv_export.write(path, ["a"], [{"a": 1}])
    assert not path.exists()
    csv_export.write(path, ["a"], [{"a": 1}])
    assert path.read_bytes() == b"a\r\n1\r\n"


def test_no_cursor_of_the_server_is_used_outside_a_transaction() -> None:
    """Behind a pooler in transaction mode the next FETCH goes to another connection, which knows no such cursor."""
    code = [path for app in ("generations", "tenants", "seedance_service") for path in (ROOT / app).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in code if re.search(r"\.iterator\(", path.read_text())}
    assert {path for path in users if "/migrations/" not in path} == IN_A_TRANSACTION
