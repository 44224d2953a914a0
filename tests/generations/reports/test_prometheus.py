"""/metrics: the numbers from the database, the token, and the server of a host without a web process."""

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone

from generations import wakeups
from generations.models import Generation
from generations.reports import prometheus, worker_hosts
from generations.upstream import circuit_breaker, routes
from tests.generations.test_lifecycle import put_in
from tests.support import wired_models
from tests.support.factories import Caller, make_generation
from tests.support.patience import PATIENCE
from tests.support.prometheus import TOKEN, parse, read_samples, scrape


@pytest.mark.django_db
def test_a_model_waits_once_each_of_its_accounts_is_paused(client: Any, settings: Any, tmp_path: Path) -> None:
    name = "acme-everywhere-1-t2v"
    settings.METRICS_TOKEN, settings.ARK_API_KEY = TOKEN, "the-key-of-ark"
    settings.CATALOG_DIR = wired_models.write(tmp_path, name, "ark", ["ark", "novita"])

    def paused() -> tuple[list[str], bool, bool]:
        """Return the accounts that are paused, "live" among them, and whether two models wait."""
        samples = read_samples(client)
        names = [key[1] for key, value in samples.items() if key[0] == "seedance_submits_paused" and value]
        waiting = [("seedance_model_submits_waiting", model) in samples for model in (name, "seedance-v1-lite-i2v")]
        return sorted(names), waiting[0], waiting[1]

    assert paused() == ([], False, False)
    circuit_breaker.pause("ark", "no balance", retry_after=60)
    assert paused() == (["ark", "live"], False, False)
    routes.pause(name, "novita", "ModelNotOpen")
    assert paused() == (["ark", "live"], True, False)
    routes.end_pauses(name)
    circuit_breaker.pause("novita", "no balance", retry_after=60)
    assert paused() == (["ark", "live", "novita"], True, True)


@pytest.mark.django_db
def test_the_numbers_are_those_of_the_database(alice: Caller, client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    put_in(alice, "in_doubt")
    put_in(alice, "succeeded")
    slow, _ = put_in(alice, "running")
    Generation.objects.filter(pk=slow.pk).update(submitted_at=timezone.now() - timedelta(hours=2))
    waiting = make_generation(alice)
    Generation.objects.filter(pk=waiting.pk).update(due_at=timezone.now() - timedelta(seconds=90))
    circuit_breaker.pause("novita", "no balance")
    worker_hosts.record_heartbeat()
    worker_hosts.record_restart("work is due, and none was done for a minute")
    worker_hosts.record_restart("again")
    samples = read_samples(client)
    assert (samples["seedance_generations_live", "queued"], samples["seedance_generations_live", "in_doubt"]) == (1, 1)
    assert (samples["seedance_generations_stalled",], samples["seedance_generations_uncopied",]) == (1, 0)
    assert samples["seedance_generations_due",] >= 1
    assert 90 <= samples["seedance_oldest_due_seconds",] < 90 + PATIENCE
    assert (samples["seedance_submits_paused", "live"], samples["seedance_submits_paused", "sandbox"]) == (1, 0)
    assert samples["seedance_worker_restarts_total", wakeups.host()] == 2
    assert 0 <= samples["seedance_worker_heartbeat_age_seconds", wakeups.host()] < PATIENCE


def test_metrics_cannot_be_read_without_the_token(db: None, client: Any, settings: Any) -> None:
    assert scrape(client).status_code == 404
    assert scrape(client, "").status_code == 404
    settings.METRICS_TOKEN = TOKEN
    assert scrape(client, "another").status_code == 404
    assert scrape(client, "é").status_code == 404
    assert client.get("/metrics").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_worker_host_without_a_web_process_serves_its_own_metrics(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings.METRICS_PORT = free.getsockname()[1]
    prometheus.serve()
    url = f"http://127.0.0.1:{settings.METRICS_PORT}"
    assert ("seedance_generations_due",) in parse(httpx.get(f"{url}/metrics").content)
    assert httpx.get(f"{url}/elsewhere").status_code == 404
    settings.METRICS_TOKEN = TOKEN
    assert httpx.get(f"{url}/metrics").status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{url}/metrics", headers=headers).status_code == 200
