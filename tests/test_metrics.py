"""What Prometheus reads: what the processes of a host have counted, and how the work stands by the database."""

import multiprocessing
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import transaction
from django.utils import timezone
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from generations import breaker, exposition, heartbeat, lifecycle, queue
from generations.meter_slots import KINDS, MEMORY, SIZE, Slots
from generations.models import Generation
from tenants import administration
from tests.conftest import ACT, Caller, make_generation
from tests.pictures import mp4
from tests.receiver import receiving
from tests.test_lifecycle import put_in
from tests.test_steps import until
from tests.upstream import Upstream
from tests.webhooks import attempt_all

Values = dict[tuple[str, ...], float]


def values(text: bytes) -> Values:
    families = text_string_to_metric_families(text.decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def scrape(client: Any, token: str = "a-token-for-metrics") -> Any:
    return client.get("/metrics", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def read(client: Any, settings: Any) -> Callable[[], Values]:
    settings.METRICS_TOKEN = "a-token-for-metrics"

    def found() -> Values:
        answer = scrape(client)
        assert answer.status_code == 200
        return values(answer.content)

    return found


@pytest.fixture
def grown(read: Callable[[], Values]) -> Callable[[], Values]:
    """By how much each counter has grown since the test began."""
    before = read()
    return lambda: {name: value - before.get(name, 0) for name, value in read().items()}


@pytest.mark.django_db
def test_the_numbers_are_what_the_database_says(alice: Caller, read: Callable[[], Values]) -> None:
    put_in(alice, "in_doubt")
    put_in(alice, "succeeded")
    slow, _ = put_in(alice, "running")
    Generation.objects.filter(pk=slow.pk).update(submitted_at=timezone.now() - timedelta(hours=2))
    waiting = make_generation(alice)
    Generation.objects.filter(pk=waiting.pk).update(due_at=timezone.now() - timedelta(seconds=90))
    breaker.pause("no balance", test=False)
    heartbeat.beat()
    heartbeat.restarted("work is due, and none was done for a minute")
    heartbeat.restarted("again")
    found = read()
    assert (found["seedance_generations_live", "queued"], found["seedance_generations_live", "in_doubt"]) == (1, 1)
    assert (found["seedance_generations_stalled",], found["seedance_generations_uncopied",]) == (1, 0)
    assert found["seedance_generations_due",] >= 1
    assert 90 <= found["seedance_oldest_due_seconds",] < 95
    assert (found["seedance_submits_paused", "live"], found["seedance_submits_paused", "sandbox"]) == (1, 0)
    assert found["seedance_worker_restarts_total", queue.host()] == 2
    assert 0 <= found["seedance_worker_heartbeat_age_seconds", queue.host()] < 5


def test_nobody_reads_them_without_the_token(db: None, client: Any, settings: Any) -> None:
    assert scrape(client).status_code == 404
    assert scrape(client, "").status_code == 404
    settings.METRICS_TOKEN = "a-token-for-metrics"
    assert scrape(client, "another").status_code == 404
    assert scrape(client, "é").status_code == 404
    assert client.get("/metrics").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_generations_way_is_counted_and_timed(
    alice: Caller, upstream: Upstream, bucket: Any, settings: Any, body: Any, grown: Callable[[], Values]
) -> None:
    with receiving(settings) as receiver:
        alice.http.post("/v1/generations", {**body, "webhook_url": "https://a.example/"}, format="json")
        g = until(Generation.objects.get(), "running")
        until(g, "running")
        upstream.video(mp4())
        until(g, "succeeded")
        g.deliveries.update(url=receiver.url)
        attempt_all()
    alice.limit(per_day=1)
    assert alice.http.post("/v1/generations", body, format="json").status_code == 429
    found = grown()
    once = [
        ("accepted_total", "live"),
        ("refused_total", "per_day"),
        ("submitted_total", "live"),
        ("finished_total", "live", "", "succeeded"),
        ("upstream_calls_total", "submit", "created"),
        ("upstream_calls_total", "poll", "rendering"),
        ("upstream_calls_total", "poll", "rendered"),
        ("deliveries_total", "delivered"),
        *((f"{name}_count",) for name in ("accept_seconds", "submit_seconds", "upstream_seconds", "copy_seconds")),
        *((f"{name}_count",) for name in ("copy_bytes", "accept_to_video_seconds")),
    ]
    assert {name: found[f"seedance_{name[0]}", *name[1:]] for name in once} == dict.fromkeys(once, 1)
    assert found["seedance_poll_lag_seconds_count",] == 2
    assert found["seedance_copied_bytes_total",] == found["seedance_copy_bytes_sum",] == len(mp4())


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_what_is_rolled_back_is_not_counted(alice: Caller, grown: Callable[[], Values]) -> None:
    g = make_generation(alice)
    with transaction.atomic():
        lifecycle.fail(g, "upstream_failed", "No.")
        transaction.set_rollback(True)
    g.refresh_from_db()
    assert found_ended(grown()) == 0
    lifecycle.fail(g, "upstream_failed", "No.")
    assert found_ended(grown()) == 1


def found_ended(found: Values) -> float:
    return found.get(("seedance_finished_total", "live", "upstream_failed", "failed"), 0)


@pytest.mark.django_db
@pytest.mark.one_database
def test_a_suspended_tenants_creates_are_counted(alice: Caller, body: Any, grown: Callable[[], Values]) -> None:
    administration.suspend(ACT, alice.tenant)
    alice.http.post("/v1/generations", body, format="json")
    assert grown()["seedance_refused_total", "suspended"] == 1


COUNT = """
import os, sys, time
import django; django.setup()
from generations import meters
meters.ACCEPTED.labels("live").inc(int(sys.argv[1]))
meters.WAITERS.set(3)
print(meters.slots.number(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """A process that counts, and lives until it is told not to."""
    running: list[subprocess.Popen[str]] = []

    def start(count: int) -> tuple[int, "subprocess.Popen[str]"]:
        env = {**os.environ, "METRICS_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
        process = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(count)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline()), process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def counted(folder: Path) -> tuple[float, float, int]:
    """Accepted, waiting, and how many files there are."""
    files = Slots(folder).files()
    found = {metric.name: sum(one.value for one in metric.samples) for metric in MultiProcessCollector.merge(files)}  # type: ignore[no-untyped-call]
    return found.get("seedance_accepted", 0), found.get("seedance_waiters", 0), len(list(folder.glob("*.db")))


@pytest.mark.one_database
def test_what_the_dead_counted_stays_and_their_files_are_taken_over(started: Any, tmp_path: Path) -> None:
    first, process = started(5)
    second, _ = started(7)
    assert {first, second} == {0, 1}
    accepted, waiting, files = counted(tmp_path)
    assert (accepted, waiting) == (12, 6)
    process.kill()
    process.wait()
    assert counted(tmp_path)[:2] == (12, 3)  # nobody waits with who is dead
    third, _ = started(1)
    assert third == first
    assert counted(tmp_path) == (13, 6, files)


def _child(slots: Slots, told: Any) -> None:
    slots.let_go()
    told.put(slots.number())


@pytest.mark.one_database
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_a_slot_of_its_own(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    mine = slots.number()
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    child = context.Process(target=_child, args=(slots, told))
    child.start()
    assert told.get(timeout=10) != mine
    child.join()
    assert slots.number() == mine
    assert Slots(tmp_path).number() != mine  # it is still held


@pytest.mark.one_database
def test_a_disk_that_fills_up_later_kills_no_process_that_counts(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    files = [tmp_path / f"{kind}_{slots.number()}.db" for kind in KINDS]
    assert [file.stat().st_blocks * 512 >= SIZE for file in files] == [True, True, True]


@pytest.mark.one_database
def test_what_a_power_cut_tore_is_counted_anew_and_breaks_no_scrape(tmp_path: Path) -> None:
    torn = tmp_path / "counter_0.db"
    (tmp_path / "slot-0.lock").touch()
    torn.write_bytes(struct.pack("i", 4000) + bytes(5000))
    assert Slots(tmp_path).files() == []
    slots = Slots(tmp_path)
    assert slots.number() == 0
    assert str(torn) in slots.files()
    assert torn.read_bytes() == bytes(SIZE)


@pytest.mark.one_database
def test_another_users_slot_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "slot-0.lock").mkdir()  # root, as whom tests may run, may open any file
    slots = Slots(tmp_path)
    assert slots.number() == 1
    assert len(slots.files()) == len(KINDS)


@pytest.mark.one_database
def test_a_folder_that_can_not_be_used_costs_no_more_than_the_counts(tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    told: list[Path] = []
    slots = Slots(tmp_path / "full" / "metrics", told.append)
    try:
        assert slots.number() > 0
        assert slots.files() == []
        assert str(told[0]).startswith(MEMORY)
        assert len(list(told[0].glob("*.db"))) == len(KINDS)
    finally:
        shutil.rmtree(told[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_worker_without_a_web_process_serves_its_own(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings.METRICS_PORT = free.getsockname()[1]
    exposition.serve()
    url = f"http://127.0.0.1:{settings.METRICS_PORT}"
    assert ("seedance_generations_due",) in values(httpx.get(f"{url}/metrics").content)
    assert httpx.get(f"{url}/elsewhere").status_code == 404
    settings.METRICS_TOKEN = "a-token-for-metrics"
    assert httpx.get(f"{url}/metrics").status_code == 401
    given = {"Authorization": "Bearer a-token-for-metrics"}
    assert httpx.get(f"{url}/metrics", headers=given).status_code == 200
