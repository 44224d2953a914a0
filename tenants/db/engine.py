"""Picks the engine of the database that DATABASE_URL names, once."""

from django.db import connection

from tenants.db.operations import Engine
from tenants.db.postgresql import PostgreSQL
from tenants.db.sqlite import SQLite

ENGINES: dict[str, type[Engine]] = {"postgresql": PostgreSQL, "sqlite": SQLite}

engine: Engine = ENGINES[connection.vendor]()
