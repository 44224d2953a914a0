"""What Prometheus reads: what the processes of a host have counted, and how the work stands by the database."""

import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import transaction
from django.utils import timezone
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from generations import lifecycle, wakeups
from generations.models import Generation
from generations.reports import prometheus, worker_hosts
from generations.telemetry import metric_files
from generations.upstream import circuit_breaker
from tenants import actions
from tests.generations.test_lifecycle import put_in
from tests.generations.worker.test_steps import until
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.images import mp4
from tests.support.receiver import run_receiver
from tests.support.upstream import Upstream
from tests.support.webhooks import attempt_all

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
    circuit_breaker.pause("no balance", test=False)
    worker_hosts.record_heartbeat()
    worker_hosts.record_restart("work is due, and none was done for a minute")
    worker_hosts.record_restart("again")
    found = read()
    assert (found["seedance_generations_live", "queued"], found["seedance_generations_live", "in_doubt"]) == (1, 1)
    assert (found["seedance_generations_stalled",], found["seedance_generations_uncopied",]) == (1, 0)
    assert found["seedance_generations_due",] >= 1
    assert 90 <= found["seedance_oldest_due_seconds",] < 95
    assert (found["seedance_submits_paused", "live"], found["seedance_submits_paused", "sandbox"]) == (1, 0)
    assert found["seedance_worker_restarts_total", wakeups.host()] == 2
    assert 0 <= found["seedance_worker_heartbeat_age_seconds", wakeups.host()] < 5


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
    with run_receiver(settings) as receiver:
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
    actions.suspend(ACTOR, alice.tenant)
    alice.http.post("/v1/generations", body, format="json")
    assert grown()["seedance_refused_total", "suspended"] == 1


COUNT = """
import os, sys
import django; django.setup()
from generations.telemetry import metrics

def count(number):
    metrics.ACCEPTED.labels("live").inc(number)
    metrics.WAITERS.set(3)
    print(os.getpid(), flush=True)

count(int(sys.argv[1]))
for line in sys.stdin:  # by a forked child, which lives as long as its parent
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(write)
        count(int(line))
        os.read(read, 1)
        os._exit(0)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """A host's METRICS_DIR."""
    settings.METRICS_DIR = tmp_path / "metrics"
    return tmp_path / "metrics"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a process that counts, and lives until its standard input ends; it is returned once it has counted."""
    running: list[subprocess.Popen[str]] = []

    def start(count: int, role: str = "web") -> "subprocess.Popen[str]":
        env = {**os.environ, "METRICS_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
        del env[metric_files.FOLDER_VARIABLE]
        if role:
            env[metric_files.FOLDER_VARIABLE] = str(folder / role)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", COUNT, str(count)], env=env, text=True, **pipes)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{process.pid}\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def end(process: "subprocess.Popen[str]") -> str:
    """Kill it, as the kernel would; what it had written to its log."""
    process.kill()
    return process.communicate()[1]


def end_of(process: "subprocess.Popen[str]") -> int:
    end(process)
    return process.pid


def counted() -> tuple[float, float]:
    """Accepted and waiting, as a scrape of the host tells."""
    found = {metric.name: sum(sample.value for sample in metric.samples) for metric in metric_files.read()}
    return found.get("seedance_accepted", 0), found.get("seedance_waiters", 0)


def files(folder: Path, kind: str = "counter") -> int:
    return len(list(folder.glob(f"*/{kind}_*.db")))


@pytest.mark.one_database
def test_all_processes_of_a_host_count_and_what_the_dead_have_counted_stays(start: Start, folder: Path) -> None:
    first = start(5)
    start(7, role="worker")
    assert counted() == (12, 6)
    end(first)
    assert counted() == (12, 3)  # nobody waits with who is dead


@pytest.mark.one_database
def test_there_are_never_more_files_than_processes_at_once(start: Start, folder: Path) -> None:
    beside = start(1)
    for _ in range(3):
        end(start(1))
    assert counted() == (4, 3)
    assert (files(folder), files(folder, "histogram")) == (2, 2)
    end(beside)
    start(1)
    start(1)
    assert counted() == (6, 6)
    assert (files(folder), files(folder, "histogram")) == (2, 2)


@pytest.mark.one_database
def test_a_role_never_goes_on_with_the_counts_of_another(start: Start, folder: Path) -> None:
    end(start(5, role="worker"))
    start(1)
    assert [len(list((folder / role).glob("counter_*.db"))) for role in ("web", "worker")] == [1, 1]
    assert counted() == (6, 3)


@pytest.mark.one_database
def test_a_forked_child_counts_in_a_file_of_its_own(start: Start, folder: Path) -> None:
    parent = start(5)
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write("2\n")
    parent.stdin.flush()
    child = int(parent.stdout.readline())
    assert child != parent.pid
    assert counted() == (7, 6)
    assert {file.name for file in folder.glob("*/counter_*.db")} == {f"counter_{parent.pid}.db", f"counter_{child}.db"}


@pytest.mark.one_database
def test_a_command_counts_in_its_own_memory_alone(start: Start, folder: Path) -> None:
    assert end(start(5, role="")) == ""
    assert not folder.exists()
    assert counted() == (0, 0)


@pytest.mark.one_database
def test_a_disk_that_fills_up_later_kills_no_process_that_counts(start: Start, folder: Path) -> None:
    start(5)
    for kind, size in metric_files.FILE_BYTES.items():
        [file] = folder.glob(f"*/{kind}_*.db")
        assert file.stat().st_blocks * 512 >= size


@pytest.mark.one_database
def test_a_file_that_a_power_cut_tore_breaks_no_scrape_and_no_start(start: Start, folder: Path) -> None:
    dead = end_of(start(5))
    torn = folder / "web" / f"counter_{dead}.db"
    torn.write_bytes(struct.pack("i", 4000) + bytes(5000))
    (folder / "web" / f"histogram_{dead}.db").write_bytes(b"")
    assert counted() == (0, 0)
    start(7)
    assert counted() == (7, 3)
    assert torn.exists()  # nobody goes on with it; the role empties its folder at its next start


@pytest.mark.one_database
def test_a_file_that_another_process_takes_over_meanwhile_is_counted_once(
    start: Start, folder: Path, monkeypatch: Any
) -> None:
    dead, there = end_of(start(5)), start(1)
    assert files(folder) == 1
    taken_over = folder / "web" / f"counter_{dead}.db"
    (folder / "web" / f"counter_{there.pid}.db").rename(taken_over)
    merge = MultiProcessCollector.merge

    def taken_over_first(paths: list[Path]) -> Any:
        if taken_over.exists():
            taken_over.rename(folder / "web" / f"counter_{there.pid}.db")
        return merge(paths)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(MultiProcessCollector, "merge", staticmethod(taken_over_first))
    assert counted() == (6, 3)


@pytest.mark.one_database
def test_a_folder_that_can_not_be_used_costs_no_more_than_the_counts(start: Start, folder: Path) -> None:
    folder.touch()  # root, as whom tests may run, may write to any folder
    before = set(Path(metric_files.FALLBACK_PARENT).glob("seedance-metrics-*"))
    process = start(5)
    [fallback] = set(Path(metric_files.FALLBACK_PARENT).glob("seedance-metrics-*")) - before
    try:
        assert {file.name for file in fallback.iterdir()} == {
            f"{kind}_{process.pid}.db" for kind in metric_files.FILE_BYTES
        }
        assert counted() == (0, 0)
        assert "what this process counts is not served" in end(process)
    finally:
        shutil.rmtree(fallback)


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_worker_without_a_web_process_serves_its_own(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings.METRICS_PORT = free.getsockname()[1]
    prometheus.serve()
    url = f"http://127.0.0.1:{settings.METRICS_PORT}"
    assert ("seedance_generations_due",) in values(httpx.get(f"{url}/metrics").content)
    assert httpx.get(f"{url}/elsewhere").status_code == 404
    settings.METRICS_TOKEN = "a-token-for-metrics"
    assert httpx.get(f"{url}/metrics").status_code == 401
    given = {"Authorization": "Bearer a-token-for-metrics"}
    assert httpx.get(f"{url}/metrics", headers=given).status_code == 200
