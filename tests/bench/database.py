"""Create a PostgreSQL database for one measurement, and copy rows in it."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connections

from tests.support.databases import postgres_url


@contextmanager
def made(name: str) -> Iterator[None]:
    """Create and migrate a database, set Django up on it with logs of errors alone, and drop it at the end."""
    server = postgres_url()
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
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
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def copy(row: Any, changed: dict[str, str], numbered: str) -> None:
    """Copy `row` once for each row that the SELECT `numbered` finds.

    `changed` has an SQL expression for each column that differs from the row's.
    """
    table, columns = row._meta.db_table, [field.column for field in row._meta.concrete_fields]
    made = ", ".join(changed.get(column, f"template.{column}") for column in columns)
    insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM ({numbered}) numbered, {table} template"
    with connections["default"].cursor() as cursor:
        cursor.execute(f"{insert} WHERE template.{row._meta.pk.column} = %s", [row.pk])
