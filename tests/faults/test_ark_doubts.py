"""An Ark that loses most answers: every doubt ends without people, and no generation is paid for twice."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from generations import leases
from generations.models import Attempt, Generation
from generations.upstream import circuit_breaker, list_scans, lost_answers
from generations.upstream.ark import client
from generations.worker import backoff, lost_attempts, steps
from tests.faults import ark_tasks, ark_upstream, faulty_server
from tests.faults.ark_upstream import ArkUpstream
from tests.faults.lab import ARK_MODEL
from tests.faults.upstream import LabUpstream
from tests.support.factories import Caller, make_generation
from tests.support.worker import claim_due, ledger_kinds

pytestmark = pytest.mark.django_db
GENERATIONS = 12
DRAWN = 10**9  # from here on, seeds that the service drew
CREATE_SECONDS, LATE_SECONDS = 0.5, 0.7  # how long an answer is awaited, and how late a late task is created
PATIENCE_SECONDS = 3


class Forgetful(ArkUpstream):
    """An Ark that loses most answers to creates, refuses some, and cuts one in four pages of its list off."""

    lost, refused = 0.9, 0.0

    def draw(self, chance: float, kinds: list[str]) -> str:
        if ark_upstream.LATE in kinds:
            return super().draw(self.lost, kinds)
        if kinds == list(ark_upstream.EXPLICIT):
            return super().draw(self.refused, [kind for kind in kinds if kind != "no route"])
        if kinds is ark_upstream.LISTS:
            return super().draw(0.25, [kind for kind in kinds if kind != "list hangs"])
        return ""


class Twin(LabUpstream):
    """Novita's twin, which refuses some creates, and loses the answers to others."""

    def draw(self, chance: float, kinds: list[str]) -> str:
        is_create = kinds == list(ark_upstream.EXPLICIT) or "500 with a task" in kinds
        return super().draw(0.3, [kind for kind in kinds if kind != "no route"]) if is_create else ""


@pytest.fixture
def ark(settings: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    for module in (ark_upstream, faulty_server):
        monkeypatch.setattr(module, "HANG", LATE_SECONDS)
    monkeypatch.setattr(ark_tasks, "HIDDEN_SECONDS", (0.2, PATIENCE_SECONDS - 1.0))
    monkeypatch.setattr(leases, "SUBMIT_CALL_SECONDS", CREATE_SECONDS)
    monkeypatch.setattr(lost_answers, "CREATE_SECONDS", CREATE_SECONDS)
    monkeypatch.setattr(list_scans, "PACE", timedelta(0))
    monkeypatch.setattr(client, "PAGE_SIZE", 4)
    monkeypatch.setattr(lost_attempts, "MAX_BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(lost_attempts, "MIN_INTERVAL_SECONDS", 0.3)
    for name in ("MIN_PROBE_SECONDS", "MAX_PROBE_SECONDS"):
        monkeypatch.setattr(circuit_breaker, name, 0.05)
    for name in ("MIN_POLL_SECONDS", "MAX_POLL_SECONDS", "MAX_RETRY_SECONDS"):
        monkeypatch.setattr(backoff, name, 0.2)
    server = Forgetful(seed=3, key="key-of-the-test")
    settings.ARK_BASE_URL, settings.ARK_API_KEY, settings.NOVITA_API_KEY = server.base_url, "key-of-the-test", ""
    settings.LOST_ANSWER_WAIT = PATIENCE_SECONDS
    settings.FETCH_ALLOW_HOSTS = [server.url.removeprefix("http://")]
    yield server
    server.stop()


def make(ark: Forgetful, number: int) -> Generation:
    """Return a queued generation. Of four seeds the service has drawn three, which alone tell a task from others."""
    facts: dict[str, Any] = {"seed": DRAWN + number, "seed_source": "drawn"}
    if number % 4 == 0:
        facts = {"seed": number, "seed_source": "caller"}
    return make_generation(
        Caller(f"tenant-{number}"), model=ARK_MODEL, image=None, image_url=f"{ark.url}/image.png", **facts
    )


def work_until_ended(rows: QuerySet[Generation]) -> None:
    """Take steps of what is due, until each of the rows has ended."""
    ends = time.monotonic() + 120
    while rows.filter(finished_at=None).exists():
        assert time.monotonic() < ends, list(rows.filter(finished_at=None).values_list("status", "account", "seed"))
        for claimed in claim_due(GENERATIONS):
            steps.advance(claimed)
        time.sleep(0.02)


def test_every_doubt_ends_without_people_and_nothing_is_paid_twice(ark: Forgetful) -> None:
    for number in range(GENERATIONS):
        make(ark, number)
    work_until_ended(Generation.objects.all())
    rows = Generation.objects.all()
    assert set(ark.tasks.created.values()) <= {1}
    lost = Attempt.objects.filter(outcome__in=["found", "not_found", "in_doubt"])
    assert lost.count() >= GENERATIONS / 2
    assert not lost.filter(outcome="in_doubt").exists()
    assert {row.upstream_id for row in rows if row.upstream_id} == set(ark.tasks.by_id)
    assert not rows.filter(error_code="submit_unconfirmed").exists()
    for row in rows:
        assert ledger_kinds(row) == ["hold", "capture" if row.status == "succeeded" else "release"]
        has_video = any(task.end == "succeeded" for task in ark.tasks.of_seed(row.seed or 0))
        assert (row.status == "succeeded") == has_video


def test_no_task_is_paid_at_both_accounts_of_a_model(ark: Forgetful, settings: Any) -> None:
    """What Ark has surely not created goes to Novita's twin, whose doubts stay with people. A doubt goes nowhere."""
    ark.lost, ark.refused = 0.4, 0.8
    twin = Twin(seed=4)
    settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY = twin.url, "another-key"
    settings.FETCH_ALLOW_HOSTS = [server.url.removeprefix("http://") for server in (ark, twin)]
    try:
        for number in range(GENERATIONS):
            make(ark, number)
        work_until_ended(Generation.objects.exclude(status="in_doubt", account="novita"))
        created = ark.tasks.created + twin.metered.created
    finally:
        twin.stop()
    assert ark.tasks.created
    assert twin.metered.created
    assert set(created.values()) == {1}
    tasks = {**ark.tasks.by_id, **twin.metered.by_id}
    for row in Generation.objects.exclude(upstream_id=None):
        assert tasks[row.upstream_id or ""].seed == row.seed
        assert (row.upstream_id in ark.tasks.by_id) == (row.account == "ark")
    for row in Generation.objects.filter(status="succeeded"):
        assert ledger_kinds(row) == ["hold", "capture"]
    lost = [row for row in Generation.objects.exclude(status="succeeded") if created[row.seed or 0]]
    assert all(row.status == "in_doubt" or tasks[row.upstream_id or ""].end != "succeeded" for row in lost)
