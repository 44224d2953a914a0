"""The seed log's export is whole or an error: behind a pooler, and where the database goes away in the middle."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from generations import ids
from generations.models import Generation
from tenants.admin import exports
from tests.http_client import Client
from tests.support import pgbouncer
from tests.support.factories import Caller, make_generation

ROWS = 95
Statement = Callable[..., Any]


@pytest.fixture(autouse=True)
def pages_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the export in ten pages."""
    monkeypatch.setattr(exports, "PAGE_ROWS", 10)


def fill(caller: Caller) -> list[str]:
    """Make ROWS generations, and return their ids, newest first."""
    first = make_generation(caller)
    more = [Generation(**{**facts(first), "id": ids.new(), "seed": number}) for number in range(1, ROWS)]
    Generation.objects.bulk_create(more)
    return sorted([str(first.pk), *(str(row.pk) for row in more)], reverse=True)


def facts(generation: Generation) -> dict[str, Any]:
    return {field.attname: getattr(generation, field.attname) for field in Generation._meta.concrete_fields}


def export(http: Client) -> Any:
    return http.get(reverse("admin:generations_seedrecord_export"))


def ids_in(response: Any) -> list[str]:
    """Return the ids of an exported table."""
    content = response.content
    assert int(response["Content-Length"]) == len(content)
    return [row["id"] for row in csv.DictReader(content.decode().splitlines())]


def before_page(number: int, act: Callable[[], None]) -> Any:
    """Call `act` before the export's page of that number is read."""
    pages = iter(range(1, 1000))

    def execute(statement: Statement, sql: str, *args: Any) -> Any:
        if '"prompt"' in sql and "LIMIT" in sql and next(pages) == number:
            act()
        return statement(sql, *args)

    return connection.execute_wrapper(execute)


@pytest.mark.django_db
@pytest.mark.parametrize("most", [ROWS + 1, ROWS, ROWS - 1, 20, 15])
def test_an_export_has_each_row_once_and_newest_first(
    most: int, alice: Caller, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_EXPORTED_ROWS", most)
    assert ids_in(export(admin_client)) == []
    rows = fill(alice)
    assert ids_in(export(admin_client)) == rows[:most]


@pytest.mark.django_db
def test_rows_that_come_during_an_export_are_not_in_it(alice: Caller, admin_client: Client) -> None:
    rows = fill(alice)
    with before_page(3, lambda: make_generation(alice) and None):
        assert ids_in(export(admin_client)) == rows


@pytest.mark.django_db(transaction=True)
def test_an_export_that_breaks_off_is_an_error_and_no_file(alice: Caller, admin_client: Client) -> None:
    fill(alice)

    def fail() -> None:
        raise OperationalError("the connection is closed")

    with before_page(4, fail):
        response = export(admin_client)
    assert (response.status_code, response.content.decode()) == (503, exports.BROKE_OFF)
    assert len(ids_in(export(admin_client))) == ROWS


@pytest.fixture
def on_postgresql(transactional_db: None) -> str:
    """Return the URL of the test's database. Skip the test on SQLite."""
    if connection.vendor != "postgresql":
        pytest.skip("this is about PostgreSQL")
    facts = connection.settings_dict
    return f"postgres://{facts['USER']}@{facts['HOST']}:{facts['PORT'] or 5432}/{facts['NAME']}"


def test_a_backend_that_ends_amid_an_export_makes_it_an_error(
    on_postgresql: str, alice: Caller, admin_client: Client
) -> None:
    fill(alice)

    def end_backend() -> None:
        pid = connection.connection.info.backend_pid
        with psycopg.connect(on_postgresql, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with before_page(4, end_backend):
        assert export(admin_client).status_code == 503
    assert len(ids_in(export(admin_client))) == ROWS


@pytest.fixture
def pooled(on_postgresql: str, tmp_path: Path) -> Iterator[str]:
    """Lead this thread's connection through PgBouncer, in transaction mode and without prepared statements."""
    with pgbouncer.running(on_postgresql, tmp_path) as url:
        before = dict(connection.settings_dict)
        connection.close()
        parts = urlsplit(url)
        connection.settings_dict |= {"HOST": parts.hostname, "PORT": parts.port}
        connection.settings_dict["OPTIONS"] = {**before["OPTIONS"], "prepare_threshold": None}
        yield url
        connection.close()
        connection.settings_dict |= before


def test_an_export_is_whole_behind_a_pooler_that_shares_connections_by_transaction(
    pooled: str, alice: Caller, admin_client: Client
) -> None:
    rows = fill(alice)
    with pgbouncer.busy_clients(pooled):
        for _ in range(5):
            assert ids_in(export(admin_client)) == rows
