"""An upgrade loses nothing: a database and a queue that release 0.1.0 filled are migrated and worked off.

`release_0_1_0/` holds the databases, the objects of the bucket, and the script by which that release filled them: rows
in every state, deliveries, keys, an encrypted secret, a queued worker run. Times are moved to the present.
"""

import base64
import gzip
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg
import pytest
from standardwebhooks import WebhookVerificationError

from deploy import stack, waiting
from tests.support.images import mp4
from tests.support.receiver import Post, Receiver
from tests.support.running import ROOT, free_port
from tests.support.upstream import Upstream, as_json, task

pytestmark = [pytest.mark.story, pytest.mark.one_database]

FIXTURES = Path(__file__).parent / "release_0_1_0"
SETTLED_WITHIN = 150.0  # seconds
# The rows whose times a worker compares with its clock. Windows and ledger of tenants name their times as text too.
MOVED = ("generations_", "django_q_")
ENDS = {
    "queued": "succeeded",
    "queued with an idempotency key": "succeeded",
    "queued after failures": "succeeded",
    "queued, bob's": "succeeded",
    "queued, test": "succeeded",
    "queued by a URL": "failed",  # nothing answers there
    "submitting": "in_doubt",  # its process is gone, and the tenant decides by hand
    "submitting, bob's": "succeeded",  # the tenant's policy submits again
    "in doubt, to attach": "in_doubt",
    "in doubt, to resubmit": "in_doubt",
    "in doubt, to release": "in_doubt",
    "in doubt, to give_up": "in_doubt",
    "running": "succeeded",
    "running, bob's": "succeeded",
    "running, test": "succeeded",
    "running with a failed poll": "succeeded",
    "copying": "succeeded",
    "copying after failures": "succeeded",
    "succeeded": "succeeded",
    "succeeded, bob's": "succeeded",
    "deleted": "succeeded",
    "deleted, files left": "succeeded",
    "expired": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "cancelled by operators": "cancelled",
}
RESOLVED = {"attach": "succeeded", "resubmit": "succeeded", "release": "failed", "give_up": "failed"}
NEW_EACH_TIME = {"video", "poster", "expires_at", "created_at", "submitted_at", "finished_at"}
SUBMITS = 7  # five queued ones, the policy's, and the operator's


def unpack(name: str) -> str:
    return gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()).decode()


def load_sqlite(path: Path, moved_by: timedelta) -> str:
    def move(text: str | None) -> str | None:
        return text and str(datetime.fromisoformat(text) + moved_by)

    with sqlite3.connect(path) as database:
        database.executescript(unpack("sqlite.sql"))
        database.create_function("move", 1, move)
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table.startswith(MOVED):
                for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                    if kind == "datetime":
                        database.execute(f"UPDATE {table} SET {column} = move({column})")
    return f"sqlite:///{path}"


def load_postgresql(url: str, moved_by: timedelta) -> str:
    script = re.sub(r"^\\.*$", "", unpack("postgresql.sql"), flags=re.MULTILINE)  # psql's own commands
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(script.encode())
    columns = "SELECT table_name, column_name FROM information_schema.columns WHERE data_type LIKE 'timestamp%'"
    with psycopg.connect(url, autocommit=True) as database:
        for table, column in database.execute(columns).fetchall():
            if table.startswith(MOVED):
                database.execute(f"UPDATE {table} SET {column} = {column} + %s".encode(), [moved_by])
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """The URL of a database of release 0.1.0, and what its rows do not tell."""
    manifest = json.loads(unpack(f"{request.param}.json"))
    moved_by = datetime.now(UTC) - datetime.fromisoformat(manifest["filled_at"])
    if request.param == "sqlite":
        return load_sqlite(tmp_path / "db.sqlite3", moved_by), manifest
    return load_postgresql(request.getfixturevalue("own_database"), moved_by), manifest


class Service:
    """Today's code on the database of another release: its processes, its bucket, an upstream and a receiver."""

    def __init__(self, url: str, manifest: dict[str, Any], folder: Path, s3: dict[str, str]) -> None:
        self.manifest, self.folder, self.database = manifest, folder, url
        self.upstream, self.receiver = Upstream(), Receiver()
        self.upstream.video(mp4())
        self.upstream.on_poll = task("TASK_STATUS_SUCCEED", url=f"{self.upstream.url}/video.mp4")
        self.upstream.on_submit = lambda handler: as_json({"task_id": f"upgraded-{len(self.upstream.submits)}"})
        self.port = free_port()
        self.bucket = f"upgraded-{folder.name[-1]}-{self.port}"
        self.env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "VAR_DIR": str(folder / "var"),
            "SECRET_KEY": "tests",
            "DATABASE_URL": url,
            "NOVITA_BASE_URL": self.upstream.url,
            "NOVITA_API_KEY": "upstream-key",
            "SANDBOX_BASE_URL": self.upstream.url,
            "FETCH_ALLOW_HOSTS": f"{self.upstream.host},{self.receiver.host}",
            "S3_BUCKET": self.bucket,
            "ALLOWED_HOSTS": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            **s3,
        }
        self.processes: list[stack.Process] = []
        self._fill_bucket(s3)
        # The receiver of then had another port.
        url = self.receiver.url
        self.ask(f"UPDATE generations_webhookendpoint SET url = '{url}' RETURNING id")
        self.ask(f"UPDATE generations_generation SET webhook_url = '{url}' WHERE webhook_url <> '' RETURNING id")
        self.ask(f"UPDATE generations_delivery SET url = '{url}' WHERE url <> '' RETURNING id")
        # The sandbox has one queued generation, its probe: others would wait for the probe's lease of three minutes.
        self.ask("UPDATE generations_pause SET upstream = 'sandbox' RETURNING upstream")

    def _fill_bucket(self, s3: dict[str, str]) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=s3["S3_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=s3["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=self.bucket)
        for key, (content_type, content) in self.manifest["objects"].items():
            body = base64.b64decode(content)
            client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        logs, static = self.folder / "log", self.folder / "static"
        static.mkdir()
        self.processes = [
            stack.worker(logs, self.env),
            stack.web(self.port, static, logs, self.env),
        ]
        waiting.until_answers(self.processes[1], f"http://127.0.0.1:{self.port}/livez")

    def stop(self) -> None:
        stack.stop(self.processes)
        self.upstream.stop()
        self.receiver.stop()

    def ask(self, sql: str) -> list[Any]:
        if self.database.startswith("sqlite"):
            with sqlite3.connect(self.database.removeprefix("sqlite:///"), timeout=30) as database:
                return database.execute(sql).fetchall()
        with psycopg.connect(self.database, autocommit=True) as database:
            return database.execute(sql.encode()).fetchall()

    def http(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.manifest['keys'][key]}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers)

    def statuses(self) -> dict[str, str]:
        rows = {
            str(pk).replace("-", ""): status for pk, status in self.ask("SELECT id, status FROM generations_generation")
        }
        return {name: rows[pk.replace("-", "")] for name, pk in self.manifest["generations"].items()}

    def wait_until(self, done: Callable[[], bool]) -> None:
        ends = time.monotonic() + SETTLED_WITHIN
        while not done():
            if time.monotonic() > ends:
                raise AssertionError([self.statuses(), self.ask("SELECT status, attempts FROM generations_delivery")])
            time.sleep(0.3)


@pytest.fixture
def service(release: tuple[str, dict[str, Any]], tmp_path: Path, seaweed: dict[str, str]) -> Iterator[Service]:
    running = Service(*release, tmp_path, seaweed)
    yield running
    running.stop()


def test_a_database_and_a_queue_of_release_0_1_0_are_worked_off(service: Service) -> None:
    service.manage("migrate", "--no-input")
    assert service.ask("SELECT func FROM django_q_schedule ORDER BY func") == [
        ("generations.tasks.prune",),
        ("generations.tasks.sweep",),
    ]
    service.start()
    service.wait_until(lambda: service.statuses() == ENDS)
    for action in RESOLVED:
        name = f"in doubt, to {action}"
        task = ["found-by-hand"] if action == "attach" else []
        service.manage(
            "doubt", action.replace("_", "-"), service.manifest["generations"][name], *task, "--reason", "asked"
        )
    expected = {**ENDS, **{f"in doubt, to {action}": end for action, end in RESOLVED.items()}}
    service.wait_until(lambda: service.statuses() == expected)
    service.wait_until(lambda: service.ask("SELECT 1 FROM generations_delivery WHERE status = 'pending'") == [])

    assert len(service.upstream.submits) == SUBMITS
    assert service.ask("SELECT 1 FROM generations_pause") == []
    service.manage("ledger", "check")  # it fails where a counter differs
    unpurged = "SELECT id FROM generations_generation WHERE purged_at IS NULL AND deleted_at IS NOT NULL"
    service.wait_until(lambda: service.ask(unpurged) == [])

    assert_callers_find_theirs(service)
    secret, endpoint = service.manifest["endpoint"]["secret"], service.manifest["endpoint"]["id"]
    signed = [post for post in service.receiver.posts if _is_signed_by(post, secret)]
    delivered = service.ask("SELECT endpoint_id FROM generations_delivery WHERE status = 'delivered'")
    endpoints = [str(pk).replace("-", "") for (pk,) in delivered]
    assert 0 < len(signed) <= endpoints.count(endpoint.replace("-", ""))


def assert_callers_find_theirs(service: Service) -> None:
    """Keys, idempotency keys and answers of then are those of today."""
    ids, keys = service.manifest["generations"], service.manifest["keys"]
    with service.http("alice") as alice:
        before = service.manifest["succeeded"]
        after = alice.get(f"/v1/generations/{ids['succeeded']}").json()
        assert httpx.get(after["video"]["url"]).content == base64.b64decode(
            service.manifest["objects"][_video_key(service, ids["succeeded"])][1]
        )
        assert {name: after[name] for name in after if name not in NEW_EACH_TIME} == {
            name: before[name] for name in before if name not in NEW_EACH_TIME
        }
        created = alice.get(f"/v1/generations/{ids['queued with an idempotency key']}").json()
        image = next(
            content
            for key, (_, content) in service.manifest["objects"].items()
            if _is_input_of(service, key, created["id"])
        )
        name = "queued with an idempotency key"
        body = {"image": image, "resolution": "480p", "seed": 4711, "prompt": name, "metadata": {"state": name}}
        again = alice.post("/v1/generations", json=body, headers={"Idempotency-Key": "order-1"})
        assert again.json()["id"] == created["id"]
        changed = alice.post("/v1/generations", json={**body, "seed": 1}, headers={"Idempotency-Key": "order-1"})
        assert changed.status_code == 422
        assert alice.get(f"/v1/generations/{ids['deleted']}").json()["video"] is None
    statuses = {}
    for name in keys:
        with service.http(name) as caller:
            statuses[name] = caller.get("/v1/limits").status_code
    assert statuses == {"alice": 200, "bob": 200, "test": 200, "rolled": 200, "carol": 200, "revoked": 401}
    with service.http("carol") as carol:
        refused = carol.post(
            "/v1/generations", json={"image": "https://pictures.example.com/a.png", "resolution": "480p"}
        )
        assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")


def _plain(service: Service, pk: str) -> str:
    """Return an id as the database writes it."""
    return pk.replace("-", "") if service.database.startswith("sqlite") else pk


def _video_key(service: Service, pk: str) -> str:
    [(key,)] = service.ask(f"SELECT video_key FROM generations_generation WHERE id = '{_plain(service, pk)}'")
    return str(key)


def _is_input_of(service: Service, key: str, pk: str) -> bool:
    sql = "SELECT i.key FROM generations_inputimage i JOIN generations_generation g ON g.image_id = i.id WHERE g.id = "
    return service.ask(f"{sql}'{_plain(service, pk)}'") == [(key,)]


def _is_signed_by(post: Post, secret: str) -> bool:
    try:
        post.verify(secret)
    except WebhookVerificationError:
        return False
    return True
