"""A PostgreSQL database of a benchmark's own, migrated, and dropped at its end."""

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
    """Django is set up on it within."""
    server = postgres_url()
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
    os.environ |= {"TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
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
    """Many rows like `row`, one for each that the SELECT `numbered` finds, but for what `changed` says in SQL."""
    table, columns = row._meta.db_table, [field.column for field in row._meta.concrete_fields]
    made = ", ".join(changed.get(column, f"template.{column}") for column in columns)
    insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM ({numbered}) numbered, {table} template"
    with connections["default"].cursor() as cursor:
        cursor.execute(f"{insert} WHERE template.{row._meta.pk.column} = %s", [row.pk])
