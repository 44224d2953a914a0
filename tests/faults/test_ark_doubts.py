"""An Ark that loses most answers: every doubt ends without people, and no generation is paid for twice."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from generations import leases
from generations.models import Attempt, Generation
from generations.upstream import circuit_breaker, list_scans, lost_answers
from generations.upstream.ark import client
from generations.worker import backoff, lost_attempts, steps
from tests.faults import ark_upstream
from tests.faults.ark_upstream import ArkUpstream
from tests.faults.lab import ARK_MODEL
from tests.support.factories import Caller, make_generation
from tests.support.worker import claim_due, ledger_kinds

pytestmark = pytest.mark.django_db
GENERATIONS = 12
DRAWN = 10**9  # from here on, seeds that the service drew
CREATE_SECONDS, LATE_SECONDS = 0.5, 0.7  # how long an answer is awaited, and how late a late task is created
PATIENCE_SECONDS = 3


class Forgetful(ArkUpstream):
    """An Ark that loses nine of ten answers to creates, and cuts one in four pages of its list off."""

    def draw(self, chance: float, kinds: list[str]) -> str:
        if ark_upstream.LATE in kinds:
            return super().draw(0.9, kinds)
        if kinds is ark_upstream.LISTS:
            return super().draw(0.25, [kind for kind in kinds if kind != "list hangs"])
        return ""


@pytest.fixture
def ark(settings: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    for place in (ark_upstream, "tests.faults.faulty_server"):
        target = place if isinstance(place, str) else place.__name__
        monkeypatch.setattr(f"{target}.HANG", LATE_SECONDS)
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


def test_every_doubt_ends_without_people_and_nothing_is_paid_twice(ark: Forgetful) -> None:
    pks = [make(ark, number).pk for number in range(GENERATIONS)]
    ends = time.monotonic() + 90
    while Generation.objects.filter(finished_at=None).exists():
        assert time.monotonic() < ends, list(Generation.objects.values_list("status", "seed", "detail"))
        for claimed in claim_due(GENERATIONS):
            steps.advance(claimed)
        time.sleep(0.02)
    rows = Generation.objects.in_bulk(pks)
    assert set(ark.tasks.created.values()) <= {1}
    lost = Attempt.objects.filter(outcome__in=["found", "not_found", "in_doubt"])
    assert lost.count() >= GENERATIONS / 2
    assert not lost.filter(outcome="in_doubt").exists()
    assert {row.upstream_id for row in rows.values() if row.upstream_id} == set(ark.tasks.by_id)
    assert not [row for row in rows.values() if row.error_code == "submit_unconfirmed"]
    for row in rows.values():
        is_delivered = row.status == "succeeded"
        assert (
            is_delivered
            or not ark.tasks.of_seed(row.seed or 0)
            or ark.tasks.of_seed(row.seed or 0)[0].end != "succeeded"
        )
        assert ledger_kinds(row) == ["hold", "capture" if is_delivered else "release"]
