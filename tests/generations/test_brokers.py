"""Videos on PostgreSQL with each broker and the real processes; a lost wake-up, and a lost broker, are replaced."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis

from deploy import stack, waiting
from tests.story.test_story import finished
from tests.support.images import base64_of, image_bytes
from tests.support.programs import find_program, skip_or_fail
from tests.support.running import MakeRun, free_port

pytestmark = pytest.mark.story
# A database of Redis for each process of the tests: two processes with one database would take each other's wake-ups.
NUMBER = 9 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 7
REDIS = os.environ.get("TEST_REDIS_URL", f"redis://127.0.0.1:6379/{NUMBER}")
ASLEEP = """
SELECT 1 FROM generations_worker WHERE beat_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM generations_slot WHERE lease_until > now() OR rung_until > now())
"""


def from_orm(folder: Path) -> Iterator[dict[str, str]]:
    """Use the database as the broker."""
    yield {"BROKER_URL": "orm"}


def from_redis(folder: Path) -> Iterator[dict[str, str]]:
    """Use Redis as the broker."""
    client = redis.from_url(REDIS)
    try:
        client.ping()
    except redis.ConnectionError as error:
        skip_or_fail("Redis does not answer", fix=f": {error}")
    client.flushdb()
    yield {"BROKER_URL": REDIS}
    client.flushdb()


def from_sqs(folder: Path) -> Iterator[dict[str, str]]:
    """Use a stand-in for SQS as the broker."""
    port = stack.free_port(25_000 + os.getpid() % 900)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = stack.Process("sqs", command, os.environ, folder)
    url = f"http://127.0.0.1:{port}"
    waiting.until_answers(server, url)
    yield {"BROKER_URL": "sqs://eu-central-1/rings", "AWS_ENDPOINT_URL_SQS": url}
    stack.stop([server])


@contextmanager
def running(kind: Any, database: str, folder: Path, **changed: str) -> Iterator[MakeRun]:
    """Run the service with a broker of that kind."""
    broker = contextmanager(kind)
    with broker(folder) as env:
        run = MakeRun(folder / "var", free_port(), DATABASE_URL=database, SIGNED_URL_TTL="60", **{**env, **changed})
        try:
            yield run.wait_until_ready()
        finally:
            run.stop()


def create(http: httpx.Client, seed: int) -> str:
    """Create a generation and return its id."""
    body = {"image": base64_of(image_bytes()), "resolution": "480p", "seed": seed}
    answer = http.post("/v1/generations", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_until_asleep(database: str) -> None:
    """Wait until a worker has sent a heartbeat, and no worker run is awake or on its way."""
    with psycopg.connect(database, autocommit=True) as connection:
        ends = time.monotonic() + 90
        while not connection.execute(ASLEEP).fetchone():
            assert time.monotonic() < ends, "The worker run does not end."
            time.sleep(0.1)


@pytest.mark.parametrize("kind", [from_orm, from_redis, from_sqs])
def test_each_broker_wakes_the_worker_for_a_video(kind: Any, own_migrated_database: str, tmp_path: Path) -> None:
    with running(kind, own_migrated_database, tmp_path) as run, run.http() as http:
        for first in (1, 11):
            rows = [finished(http, pk) for pk in [create(http, first + number) for number in range(5)]]
            assert {row["status"] for row in rows} == {"succeeded"}
            wait_until_asleep(own_migrated_database)  # the next five find an idle worker, which a wake-up wakes
        assert len(run.submits()) == 10
        content = httpx.get(rows[0]["video"]["url"]).raise_for_status().content
        assert len(content) == rows[0]["video"]["size"]
        assert http.get("/readyz").json()["checks"]["broker"]["ok"]


@pytest.mark.parametrize("kind", [from_redis, from_sqs])
def test_a_wake_up_that_a_broker_loses_is_replaced(kind: Any, own_migrated_database: str, tmp_path: Path) -> None:
    """Send every wake-up of the web process to a broker that does not exist."""
    with running(kind, own_migrated_database, tmp_path) as run:
        no_broker = {"BROKER_URL": f"redis://127.0.0.1:{stack.free_port(24_000)}/0"}
        port = stack.free_port(run.port + 2)
        local = dict(line.split("=", 1) for line in (run.var / "local.env").read_text().splitlines())
        env = {**run.env, **local, **no_broker, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
        deaf = stack.web(port, run.var / "static", tmp_path / "deaf", env)
        try:
            waiting.until_answers(deaf, f"http://127.0.0.1:{port}/livez")
            headers = {"Authorization": f"Bearer {run.printed('API key')}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
                wait_until_asleep(own_migrated_database)
                assert finished(http, create(http, 7))["status"] == "succeeded"
        finally:
            stack.stop([deaf])
        assert "the ring was lost" in deaf.log.read_text()


@pytest.mark.parametrize("loss", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "silent"])
def test_work_goes_on_while_the_broker_is_away(
    loss: signal.Signals, own_migrated_database: str, tmp_path: Path
) -> None:
    """The rows are the truth: the supervisor starts worker runs itself, also at its own start."""
    port = stack.free_port(26_000 + os.getpid() % 900)
    command = [find_program("redis-server", package="redis-server"), "--port", str(port), "--save", ""]
    broker = stack.Process("redis", command, os.environ, tmp_path)
    run = MakeRun(
        tmp_path / "var", free_port(), DATABASE_URL=own_migrated_database, BROKER_URL=f"redis://127.0.0.1:{port}/0"
    )
    try:
        run.wait_until_ready()
        wait_until_asleep(own_migrated_database)
        os.kill(broker.pid, loss)
        with run.http() as http:
            http.timeout = httpx.Timeout(30)
            for first in (1, 11):
                rows = [finished(http, pk) for pk in [create(http, first + number) for number in range(3)]]
                assert {row["status"] for row in rows} == {"succeeded"}
        assert "starts a worker run itself" in (run.var / "log" / "worker.log").read_text()
    finally:
        run.stop()
        broker.kill()
