"""What Prometheus reads, and that nobody else does."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from generations import breaker, heartbeat, queue
from generations.models import Generation
from tests.conftest import Caller, make_generation
from tests.test_lifecycle import put_in


def scrape(client: Any, token: str = "a-token-for-metrics") -> Any:
    return client.get("/metrics", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def read(client: Any, settings: Any) -> Any:
    settings.METRICS_TOKEN = "a-token-for-metrics"

    def values() -> dict[tuple[str, ...], float]:
        answer = scrape(client)
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.content.decode())
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    return values


def test_the_numbers_are_what_the_database_says(alice: Caller, read: Any) -> None:
    put_in(alice, "in_doubt")
    put_in(alice, "succeeded")
    waiting = make_generation(alice)
    Generation.objects.filter(pk=waiting.pk).update(due_at=timezone.now() - timedelta(seconds=90))
    breaker.pause("no balance", test=False)
    heartbeat.beat()
    heartbeat.restarted("work is due, and none was done for a minute")
    heartbeat.restarted("again")
    found = read()
    assert (found["seedance_generations_live", "queued"], found["seedance_generations_live", "in_doubt"]) == (1, 1)
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
