"""Create a database for one measurement, and copy rows in it."""

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connection, connections

from tests.support.databases import postgres_url


@contextmanager
def made(kind: str, name: str) -> Iterator[None]:
    """Create and migrate a database, set Django up on it with logs of errors alone, and drop it at the end.

    `kind` is SQLite or PostgreSQL.
    """
    with _empty_file(name) if kind == "SQLite" else _dropped(name) as url:
        os.environ |= {
            "TEST_DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "seedance_service.settings",
            "LOG_LEVEL": "ERROR",
        }
        importlib.import_module("tests.support.environment")
        django.setup()
        try:
            call_command("migrate", verbosity=0)
            yield
        finally:
            connections.close_all()


@contextmanager
def _empty_file(name: str) -> Iterator[str]:
    """Yield the URL of a SQLite database, and delete it at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield f"sqlite:///{folder}/{name}.sqlite3"


@contextmanager
def _dropped(name: str) -> Iterator[str]:
    """Create a PostgreSQL database, yield its URL, and drop it at the end."""
    url = empty(name)
    try:
        yield url
    finally:
        _drop(name)


def empty(name: str) -> str:
    """Create a PostgreSQL database, without what the run before has left, and return its URL."""
    server = _drop(name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _drop(name: str) -> str:
    """Drop a database, if it is there, and return the server's URL."""
    server = postgres_url()
    assert server, "no PostgreSQL answers"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return server


def copy(row: Any, changed: dict[str, str], numbered: str) -> None:
    """Copy `row` once for each row that the SELECT `numbered` finds.

    `changed` has an SQL expression for each column that differs from the row's.
    """
    table, columns = row._meta.db_table, [field.column for field in row._meta.concrete_fields]
    made = ", ".join(changed.get(column, f"template.{column}") for column in columns)
    insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM ({numbered}) numbered, {table} template"
    with connection.cursor() as cursor:
        pk = row._meta.pk.get_db_prep_value(row.pk, connection)
        cursor.execute(f"{insert} WHERE template.{row._meta.pk.column} = %s", [pk])
