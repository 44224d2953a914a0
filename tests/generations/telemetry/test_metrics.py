"""The counters and histograms of a generation's processing, as a scrape reads them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from generations import lifecycle
from generations.catalog import video_models
from generations.models import Generation
from tenants import actions
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.images import mp4
from tests.support.prometheus import TOKEN, Samples, read_samples
from tests.support.receiver import run_receiver
from tests.support.upstream import Upstream
from tests.support.webhooks import attempt_all
from tests.support.worker import take_steps_until

MODEL = video_models.DEFAULT_ID
Growth = Callable[[], Samples]


@pytest.fixture
def growth(client: Any, settings: Any) -> Growth:
    """Return a function that returns how much each sample has grown since the test began."""
    settings.METRICS_TOKEN = TOKEN
    before = read_samples(client)
    return lambda: {name: value - before.get(name, 0) for name, value in read_samples(client).items()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_each_step_of_a_generation_is_counted_and_timed(
    alice: Caller, upstream: Upstream, bucket: Any, settings: Any, body: Any, growth: Growth
) -> None:
    with run_receiver(settings) as receiver:
        alice.http.post("/v1/generations", {**body, "webhook_url": "https://a.example/"}, format="json")
        g = take_steps_until(Generation.objects.get(), "running")
        take_steps_until(g, "running")
        upstream.video(mp4())
        take_steps_until(g, "succeeded")
        g.deliveries.update(url=receiver.url)
        attempt_all()
    alice.limit(per_day=1)
    assert alice.http.post("/v1/generations", body, format="json").status_code == 429
    grown = growth()
    once = [
        ("accepted_total", "live", MODEL),
        ("refused_total", "per_day"),
        ("submitted_total", "live", MODEL, "novita"),
        ("finished_total", "live", MODEL, "", "succeeded", "novita"),
        ("upstream_calls_total", "submit", "created", "novita"),
        ("upstream_calls_total", "poll", "rendering", "novita"),
        ("upstream_calls_total", "poll", "rendered", "novita"),
        ("deliveries_total", "delivered"),
        *((f"{name}_count",) for name in ("accept_seconds", "submit_seconds", "upstream_seconds", "copy_seconds")),
        ("copy_bytes_count",),
        ("accept_to_video_seconds_count", MODEL),
    ]
    assert {name: grown[f"seedance_{name[0]}", *name[1:]] for name in once} == dict.fromkeys(once, 1)
    assert grown["seedance_poll_lag_seconds_count",] == 2
    assert grown["seedance_copied_bytes_total",] == grown["seedance_copy_bytes_sum",] == len(mp4())


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_transition_that_is_rolled_back_is_not_counted(alice: Caller, growth: Growth) -> None:
    failed = ("seedance_finished_total", "live", MODEL, "upstream_failed", "failed", "")  # it went to no account
    g = make_generation(alice)
    with transaction.atomic():
        lifecycle.fail(g, "upstream_failed", "No.")
        transaction.set_rollback(True)
    g.refresh_from_db()
    assert growth().get(failed, 0) == 0
    lifecycle.fail(g, "upstream_failed", "No.")
    assert growth()[failed] == 1


@pytest.mark.django_db
@pytest.mark.one_database
def test_a_suspended_tenants_creates_are_counted(alice: Caller, body: Any, growth: Growth) -> None:
    actions.suspend(ACTOR, alice.tenant)
    alice.http.post("/v1/generations", body, format="json")
    assert growth()["seedance_refused_total", "suspended"] == 1
