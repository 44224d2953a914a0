"""Finds the PostgreSQL that the tests may use: `python -m tests.support.databases` prints the URL, or nothing."""

import os
import sys
from urllib.parse import quote

import psycopg
from django.db import connection

STANDARD = "postgres://postgres@127.0.0.1:5432/test"  # where a local server is, and what CI has


def postgres_url() -> str | None:
    """Return TEST_POSTGRES_URL, or the standard address if a server answers there, or None.

    Exit with an error if TEST_POSTGRES_URL does not answer, or REQUIRE_POSTGRES=1 and no server does.
    """
    url = os.environ.get("TEST_POSTGRES_URL", STANDARD)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.Error as error:
        if os.environ.get("REQUIRE_POSTGRES") == "1" or "TEST_POSTGRES_URL" in os.environ:
            raise SystemExit(f"PostgreSQL is required, and does not answer: {error}") from error
        return None
    return url


def url_of_test() -> str:
    """Return the URL of the running test's database, as another process reaches it."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    password = f":{quote(facts['PASSWORD'])}" if facts["PASSWORD"] else ""
    return f"postgres://{facts['USER']}{password}@{facts['HOST']}:{facts['PORT'] or 5432}/{facts['NAME']}"


if __name__ == "__main__":
    server = postgres_url()
    print(server or "", end="")
    if server is None:
        print("No PostgreSQL answers here: the tests run on SQLite alone.", file=sys.stderr)
