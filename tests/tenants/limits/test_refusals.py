"""Refused creates are counted by tenant, key, limit and hour: one write for many, and by all processes together."""

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection

from deploy import stack
from generations.telemetry import metrics
from tenants import actions
from tenants.db import clock
from tenants.db.engine import engine
from tenants.limits import refusals
from tenants.models import RefusalCount, Tenant
from tests.support.databases import url_of_test
from tests.support.factories import ACTOR, Caller
from tests.support.hostile import OWN
from tests.support.refusing import count_in_processes
from tests.support.web_process import Web

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CREATE = "/v1/generations"
BODY = {"image": "https://example.com/a.png", "resolution": "480p"}
REFUSALS: dict[str, tuple[Callable[[Caller], Any], str]] = {
    "a rate": (lambda alice: alice.limit(requests_per_minute=0), "requests_per_minute"),
    "generations in flight": (lambda alice: alice.limit(in_flight=0), "in_flight"),
    "a day": (lambda alice: alice.limit(per_day=0), "per_day"),
    "a month": (lambda alice: alice.limit(per_month=0), "per_month"),
    "seconds": (lambda alice: alice.limit(seconds_per_month=0), "seconds_per_month"),
    "money": (lambda alice: alice.limit(usd_per_month_micro=0), "usd_per_month"),
    "a limit of the key": (lambda alice: alice.limit_key(per_day=0), "per_day"),
    "a suspended tenant": (lambda alice: actions.suspend(ACTOR, alice.tenant), "suspended"),
}


def stored() -> dict[tuple[str, str, str], int]:
    """Return the stored counts by tenant, key and limit."""
    rows = RefusalCount.objects.values_list("tenant__name", "api_key__prefix", "limit_name", "refused")
    return {(tenant, key, limit_name): count for tenant, key, limit_name, count in rows}


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the name of the thread of each write of counts."""
    threads, run = list[str](), engine.run

    def recording(sql: str, values: Any, **options: Any) -> Any:
        if "tenants_refusalcount" in sql:
            threads.append(threading.current_thread().name)
        return run(sql, values, **options)

    monkeypatch.setattr(engine, "run", recording)
    return threads


@pytest.mark.parametrize("why", REFUSALS)
def test_each_refusal_is_counted_for_its_tenant_key_and_limit(alice: Caller, bucket: Any, why: str) -> None:
    refuse, limit_name = REFUSALS[why]
    refuse(alice)
    before = counted_for_prometheus(limit_name)
    answers = [alice.http.post(CREATE, BODY) for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {402, 403, 429}
    assert stored() == {("alice", alice.key.prefix, limit_name): 3}
    assert counted_for_prometheus(limit_name) - before == 3


def counted_for_prometheus(limit_name: str) -> float:
    """Return the value of the counter in Prometheus."""
    return metrics.REFUSED.labels(limit_name)._value.get()


def test_what_no_limit_refuses_is_not_counted(alice: Caller, bucket: Any) -> None:
    assert alice.http.post(CREATE, BODY).status_code == 202
    assert alice.http.post(CREATE, {**BODY, "resolution": "9p"}).status_code == 400
    assert stored() == {}


def test_a_replay_is_no_refusal(alice: Caller, bucket: Any) -> None:
    alice.limit(per_day=1)
    headers = {"HTTP_IDEMPOTENCY_KEY": "once"}
    assert [alice.http.post(CREATE, BODY, **headers).status_code for _ in range(2)] == [202, 202]
    assert stored() == {}


def test_hours_are_counted_apart(alice: Caller) -> None:
    for hours in (0, 0.5, 1):
        with time_machine.travel(NOON + timedelta(hours=hours), tick=False):
            refusals.count(alice.key, "per_day")
    assert dict(RefusalCount.objects.values_list("hour", "refused")) == {NOON: 2, NOON + timedelta(hours=1): 1}


@pytest.mark.django_db(transaction=True)
def test_a_flood_is_two_writes_of_a_thread(alice: Caller, writes: list[str]) -> None:
    bob = Caller("bob")
    for _ in range(500):
        refusals.count(alice.key, "per_day")
        refusals.count(bob.key, "in_flight")
    refusals.finish()
    assert stored() == {
        ("alice", alice.key.prefix, "per_day"): 500,
        ("bob", bob.key.prefix, "in_flight"): 500,
    }
    assert set(writes) == {"refusals"}
    assert len(writes) <= 2


@pytest.mark.django_db(transaction=True)
def test_a_write_that_fails_is_logged_and_refuses_nothing(alice: Caller, monkeypatch: Any, caplog: Any) -> None:
    Tenant.objects.filter(pk=alice.tenant.pk).update(per_day=0)
    with monkeypatch.context() as patched:
        patched.setattr(refusals, "ADD", "no SQL {rows}")
        assert alice.http.post(CREATE, BODY).status_code == 429
        refusals.finish()
    assert "refusals could not be counted" in caplog.text
    assert stored() == {}
    assert alice.http.post(CREATE, BODY).status_code == 429
    refusals.finish()
    assert sum(stored().values()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_that_count_at_once_lose_nothing_also_at_their_end(alice: Caller, method: str) -> None:
    url = url_of_test()
    connection.close()
    assert count_in_processes(url, alice.key.pk, 4, 250, method) == [0] * 4
    assert stored() == {("alice", alice.key.prefix, name): 1000 for name in ("per_day", "in_flight")}


@pytest.mark.story
def test_a_web_process_writes_at_its_end_what_it_counted(tmp_path: Path) -> None:
    """The first refusal is written at once, and the process is stopped before the next write."""
    web = Web(tmp_path, "http://127.0.0.1:9")
    try:
        web.manage("tenant", "limit", "alice", "--per-day", "0", "--reason", "a test")
        body = json.dumps(BODY).encode()
        assert {web.send(OWN, [body])[0] for _ in range(20)} == {429}
    finally:
        stack.stop([web.process])
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        assert database.execute("SELECT SUM(refused) FROM tenants_refusalcount").fetchone() == (20,)


def test_old_counts_are_those_that_no_period_shows(alice: Caller) -> None:
    now = clock.now()
    for age in (refusals.RETENTION + timedelta(hours=1), timedelta(days=31)):
        with time_machine.travel(now - age, tick=False):
            refusals.count(alice.key, "per_day")
    assert refusals.old(now).count() == 1
