"""The limits: a constant answer, and the least that a create and a read have to do, by hand without Django.

The key's digest is looked up; one transaction writes the row, its hold, its event and its usage windows; a read signs
two URLs. No field is checked, nothing is logged or counted. DATABASE_URL names the database.
"""

import hashlib
import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import psycopg

from generations import ids

URL = os.environ["DATABASE_URL"]
KINDS = ("in_flight", "per_day", "per_month", "requests_per_minute", "seconds_per_month", "usd_per_month")
KEY = """
SELECT k.id, k.tenant_id, k.digest FROM tenants_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
 WHERE k.prefix = %s AND k.revoked_at IS NULL AND t.suspended_at IS NULL
"""
GENERATION = """
INSERT INTO generations_generation (id, tenant_id, api_key_id, created_at, test, model, prompt, resolution,
    aspect_ratio, duration, camera_fixed, seed, seed_source, image_url, last_image_url, price_micro, status, due_at,
    turn, tries, progress_percent, error_code, error_message, video_key, video_sha256, video_codec, poster_key,
    webhook_format)
VALUES (%s, %s, %s, %s, %s, 'seedance-v1-lite-i2v', %s, '480p', 'adaptive', 5, %s, %s, 'drawn', %s, '', 180000,
    'queued', %s, 0, 0, 0, '', '', '', '', '', '', 'standard')
"""
HOLD = """
INSERT INTO tenants_ledgerentry (tenant_id, api_key_id, test, generation_id, kind, amount_micro, item, seconds, windows,
    reason, at) VALUES (%s, %s, %s, %s, 'hold', 180000, 'seedance', 5, '[]', '', %s)
"""
EVENT = "INSERT INTO generations_event (generation_id, at, status, message) VALUES (%s, %s, 'queued', 'accepted')"
COUNT = """
UPDATE tenants_window SET used = used + 1 WHERE tenant_id = %s AND api_key_id IS NULL AND starts_at = %s
"""
OPEN = "INSERT INTO tenants_window (tenant_id, kind, starts_at, used) VALUES (%s, %s, %s, 0)"
READ = "SELECT status, seed, video_key FROM generations_generation WHERE id = %s AND tenant_id = %s"
START = datetime(2000, 1, 1, tzinfo=UTC)

_here = threading.local()


class Postgres:
    """A connection to PostgreSQL."""

    def __init__(self) -> None:
        self._connection = psycopg.connect(URL, autocommit=True)
        self._connection.prepare_threshold = 0

    def ask(self, sql: str, values: Any) -> Any:
        return self._connection.execute(sql, values).fetchone()

    def write(self, statements: Iterable[tuple[str, Any]]) -> None:
        with self._connection.transaction():
            for sql, values in statements:
                self._connection.execute(sql, values)

    @staticmethod
    def value(value: Any) -> Any:
        return value


class Sqlite:
    """A connection to SQLite, which takes the same SQL."""

    def __init__(self) -> None:
        path = URL.removeprefix("sqlite:///")
        self._connection = sqlite3.connect(path, timeout=20, isolation_level=None)
        self._connection.execute("PRAGMA synchronous=FULL")

    def ask(self, sql: str, values: Any) -> Any:
        return self._connection.execute(sql.replace("%s", "?"), [self.value(one) for one in values]).fetchone()

    def write(self, statements: Iterable[tuple[str, Any]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            self._connection.execute(sql.replace("%s", "?"), [self.value(one) for one in values])
        self._connection.execute("COMMIT")

    @staticmethod
    def value(value: Any) -> Any:
        match value:
            case uuid.UUID():
                return value.hex
            case datetime():
                return value.strftime("%Y-%m-%d %H:%M:%S.%f")
        return value


def database() -> Any:
    """Return this thread's connection."""
    if not hasattr(_here, "database"):
        _here.database = Postgres() if URL.startswith("postgres") else Sqlite()
    return _here.database


def open_windows(tenant: int) -> None:
    """Create the usage windows that each create counts in."""
    database().write((OPEN, (tenant, kind, START)) for kind in KINDS)


def create(tenant: int, key: int, body: dict[str, Any]) -> uuid.UUID:
    """Write a generation in one transaction, and return its id."""
    now = datetime.now(UTC)
    pk = ids.new_at(now)
    database().write(
        [
            (GENERATION, (pk, tenant, key, now, False, body["prompt"], False, pk.int % 2**31, body["image"], now)),
            (HOLD, (tenant, key, False, pk, now)),
            (EVENT, (pk, now)),
            (COUNT, (tenant, START)),
        ]
    )
    return pk


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer /constant, a create (POST) or a read (GET of an id)."""
    if environ["PATH_INFO"] == "/constant":
        return _answer(start_response, b'{"ok": true}')
    text = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    found = database().ask(KEY, (text[:21],))
    if not found or found[2] != hashlib.sha256(text.encode()).hexdigest():
        return _answer(start_response, b"{}", "401 Unauthorized")
    key, tenant, _ = found
    if environ["REQUEST_METHOD"] == "POST":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        pk = create(tenant, key, body)
        return _answer(start_response, json.dumps({"id": str(pk), "status": "queued"}).encode(), "202 Accepted")
    pk = uuid.UUID(environ["PATH_INFO"].rpartition("/")[2])
    status, seed, video_key = database().ask(READ, (pk, tenant))
    body = {"id": str(pk), "status": status, "seed": seed, "urls": [_signed(video_key), _signed(video_key)]}
    return _answer(start_response, json.dumps(body).encode())


def _answer(start_response: Callable[..., Any], body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _signed(key: str) -> str:
    credentials = botocore.credentials.Credentials("bench", "bench")
    request = botocore.awsrequest.AWSRequest("GET", f"http://127.0.0.1:9/bench/{key}")
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=3600).add_auth(request)
    return str(request.url)
