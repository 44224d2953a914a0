"""A seed is one number from the request to the row, to the upstream, and back to the caller."""

import random
from typing import Any

import pytest
from django.utils import timezone

from generations.catalog import video_models
from generations.models import Generation
from generations.worker import steps
from tests.support.factories import Caller
from tests.support.images import base64_of, image_bytes, mp4
from tests.support.upstream import Upstream
from tests.support.worker import claim_due

pytestmark = pytest.mark.one_database

EDGES = [0, 1, 2, 2**31 - 2, 2**31 - 1]


@pytest.mark.usefixtures("bucket")
def test_a_hundred_seeds_are_the_same_in_the_request_the_row_and_at_the_upstream(
    alice: Caller, upstream: Upstream
) -> None:
    """Half of the seeds are the caller's. The others are drawn: the seed is left out, null or -1."""
    dice = random.Random(15)
    chosen = [*EDGES, *(dice.randrange(2**31) for _ in range(45))]
    drawn: list[dict[str, Any]] = [{}, {"seed": None}, {"seed": -1}]
    requests = [{"seed": seed} for seed in chosen] + [drawn[number % 3] for number in range(50)]
    dice.shuffle(requests)
    created, image = {}, base64_of(image_bytes())
    for number, seed in enumerate(requests):
        pk = create(alice, number, {"image": image, "resolution": "480p", **seed})
        created[f"number {number}"] = pk, seed
    for generation in claim_due(100):
        steps.advance(generation)

    rows = {generation.prompt: generation for generation in Generation.objects.all()}
    sent = {body["prompt"]: body["seed"] for body in upstream.submits}
    assert len(upstream.submits) == len(rows) == len(created) == 100
    for prompt, (pk, seed) in created.items():
        row = rows[prompt]
        assert str(row.pk) == pk
        assert type(sent[prompt]) is int
        assert sent[prompt] == row.seed
        if seed.get("seed", -1) in (None, -1):
            assert (row.seed_source, 0 <= row.seed <= video_models.default().max_seed) == ("drawn", True)
        else:
            assert (row.seed_source, row.seed) == ("caller", seed["seed"])
    assert len({row.seed for row in rows.values() if row.seed_source == "drawn"}) == 50


def create(caller: Caller, number: int, body: dict[str, Any]) -> str:
    """Create a generation, by the native API for odd numbers and the Novita-compatible API for even ones."""
    body = {**body, "prompt": f"number {number}"}
    if number % 2:
        return str(caller.http.post("/v1/generations", body, format="json").json()["id"])
    wire = {"prompt": "", "duration": 5, **body}
    return str(caller.http.post("/v3/async/seedance-v1-lite-i2v", wire, format="json").json()["task_id"])


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("seed", EDGES)
def test_the_reported_seed_is_the_one_that_was_sent_although_the_upstream_reports_another(
    alice: Caller, upstream: Upstream, seed: int
) -> None:
    pk = create(alice, 1, {"image": base64_of(image_bytes()), "resolution": "480p", "seed": seed})
    upstream.video(mp4(), seed="77")
    for _ in range(2):
        Generation.objects.update(due_at=timezone.now())
        for generation in claim_due(1):
            steps.advance(generation)
    native = alice.http.get(f"/v1/generations/{pk}").json()
    wire = alice.http.get(f"/v3/async/task-result?task_id={pk}").json()
    assert (native["status"], native["seed"], wire["extra"]["seed"]) == ("succeeded", seed, str(seed))
    assert [body["seed"] for body in upstream.submits] == [seed]
