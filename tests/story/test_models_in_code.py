"""An upgrade changes no answer: what callers got from the last release whose models were code, they get from today's.

`models_in_code/` holds the databases of that release (rows in every state, of both APIs), the script that filled them,
and the answers, bills and submits that `upgrade_answers.py` got from that release's own code.
"""

import gzip
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.running import ROOT

pytestmark = [pytest.mark.story, pytest.mark.one_database]

FIXTURES = Path(__file__).parent / "models_in_code"
# The columns of the tables that the release before fills, each with whether a row may leave it out.
COLUMNS = """
    SELECT table_name, column_name, is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES'
    FROM information_schema.columns WHERE table_schema = 'public'
"""
SQLITE_COLUMNS = """
    SELECT m.name, c.name, c."notnull" = 0 OR c.dflt_value IS NOT NULL OR c.pk
    FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'
"""


def unpack(name: str) -> str:
    return gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()).decode()


def load(url: str) -> None:
    """Fill an empty database with what the release before had stored."""
    if url.startswith("sqlite"):
        with sqlite3.connect(urlsplit(url).path) as database:
            database.executescript(unpack("sqlite.sql"))
        return
    script = re.sub(r"^\\.*$", "", unpack("postgresql.sql"), flags=re.MULTILINE)  # psql's own commands
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(script.encode())


def columns(url: str) -> Mapping[tuple[str, str], bool]:
    """Return each column, with whether an INSERT may leave it out."""
    if url.startswith("sqlite"):
        with sqlite3.connect(urlsplit(url).path) as database:
            rows = database.execute(SQLITE_COLUMNS).fetchall()
    else:
        with psycopg.connect(url, autocommit=True) as database:
            rows = database.execute(COLUMNS).fetchall()
    return {(table, column): bool(is_optional) for table, column, is_optional in rows}


def run(url: str, *command: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "SECRET_KEY": "tests", "DATABASE_URL": url, "TEST_DATABASE_URL": url}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_answers_bills_replays_and_reruns_are_those_of_the_release_before(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    is_sqlite = engine == "sqlite"
    url = f"sqlite:///{tmp_path}/db.sqlite3" if is_sqlite else request.getfixturevalue("own_database")
    load(url)
    before = columns(url)
    run(url, "manage.py", "migrate", "--no-input")
    tables = {table for table, _ in before}
    added = {column: is_optional for column, is_optional in columns(url).items() if column not in before}
    # The hosts of the release before go on: their rows leave new columns out.
    assert [column for column, is_optional in added.items() if column[0] in tables and not is_optional] == []

    manifest, found = tmp_path / "manifest.json", tmp_path / "answers.json"
    manifest.write_text(unpack(f"{engine}.json"))
    run(url, "tests/story/upgrade_answers.py", str(manifest), str(found))
    expected: dict[str, Any] = json.loads(unpack(f"{engine}.answers.json"))
    answers: dict[str, Any] = json.loads(found.read_text())
    for tenant in ("alice", "bob"):
        lines, lines_before = answers.pop(f"{tenant} bill"), expected.pop(f"{tenant} bill")
        # Two columns were added at the end: the model, and then the account, which that release did not record.
        assert [line.rsplit(",", 2)[0] for line in lines] == lines_before
        assert {line.rpartition(",")[2] for line in lines} == {"account", ""}
    assert {name for name in expected if answers[name] != expected[name]} == set()
    assert answers == expected
