"""Tests of the Idempotency-Key: repeated requests get one generation, one charge and one answer."""

import dataclasses
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from generations import lifecycle
from generations.intake import idempotency
from generations.intake.generation_request import IMAGE_FIELDS, GenerationRequest
from generations.models import Generation
from tenants.models import LedgerEntry
from tenants.money import reconcile
from tests.generations.test_lifecycle import VIDEO
from tests.http_client import with_key
from tests.support import attempts
from tests.support.factories import Caller

PATHS = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]
URL_BODY = {"image": "https://images.example.com/a.png", "resolution": "480p"}

both_apis = pytest.mark.parametrize("path", PATHS)


def post(caller: Caller, path: str, body: dict[str, Any], key: str = "order-1") -> Any:
    """Send a create with an Idempotency-Key."""
    return caller.http.post(path, body, format="json", headers={"Idempotency-Key": key})


def status_and_body(answer: Any) -> tuple[int, bytes]:
    """Return the parts of an answer that a replay repeats."""
    return answer.status_code, answer.content


@both_apis
def test_a_repeated_request_returns_the_same_generation_and_answer(
    alice: Caller, path: str, body: dict[str, Any], bucket: Any
) -> None:
    first = post(alice, path, body)
    assert "Idempotent-Replayed" not in first.headers
    for _ in range(3):
        repeat = post(alice, path, body)
        assert status_and_body(repeat) == status_and_body(first)
        assert repeat.headers["Idempotent-Replayed"] == "true"
        assert repeat.headers.get("Location") == first.headers.get("Location")
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1


@both_apis
def test_a_repeat_returns_the_first_answer_whatever_the_status_is_now(alice: Caller, path: str) -> None:
    first = post(alice, path, URL_BODY)
    g = Generation.objects.get()
    attempt = attempts.start_submitting(g)
    assert attempt is not None
    lifecycle.mark_running(g, attempt, "up", 2)
    attempts.start_copying(g, g.seed)
    lifecycle.mark_succeeded(g, VIDEO)
    assert status_and_body(post(alice, path, URL_BODY)) == status_and_body(first)
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        assert status_and_body(post(alice, path, URL_BODY)) == status_and_body(first)


@both_apis
def test_another_request_with_the_key_is_refused_and_does_nothing(alice: Caller, path: str) -> None:
    post(alice, path, URL_BODY)
    for other in ({**URL_BODY, "seed": 5}, {**URL_BODY, "prompt": "another"}, {**URL_BODY, "resolution": "720p"}):
        answer = post(alice, path, other)
        assert answer.status_code == 422
        problem = answer.json()
        assert problem.get("reason", problem["code"]) in ("idempotency_key_reused", "INVALID_REQUEST_BODY")
    [elsewhere] = [other for other in PATHS if other != path]
    assert post(alice, elsewhere, URL_BODY).status_code == 422
    assert Generation.objects.count() == 1


def test_the_same_request_may_be_written_differently(alice: Caller) -> None:
    first = post(alice, PATHS[0], URL_BODY)
    repeat = alice.http.generic(
        "POST",
        PATHS[0],
        '{"resolution":   "480p", "duration": 5, "image": "https://images.example.com/a.png"}',
        content_type="application/json",
        headers={"Idempotency-Key": "order-1"},
    )
    assert status_and_body(repeat) == status_and_body(first)


def test_a_models_new_price_does_not_change_the_digest(alice: Caller, settings: Any) -> None:
    first = post(alice, PATHS[0], URL_BODY)
    settings.PRICES = '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "9.9"}}'
    assert status_and_body(post(alice, PATHS[0], {**URL_BODY, "seed": -1})) == status_and_body(first)
    assert post(alice, PATHS[0], {**URL_BODY, "seed": 0}).status_code == 422


def test_the_digest_takes_every_field_of_a_request() -> None:
    """A field that DIGEST_FIELDS lacks would let one key stand for two different requests."""
    columns = {*Generation.REQUEST_COLUMNS, *IMAGE_FIELDS, "parameters"}
    assert set(idempotency.DIGEST_FIELDS) == columns | {
        field.name for field in dataclasses.fields(GenerationRequest) if field.name != "values"
    }


def test_a_key_belongs_to_one_tenant_and_one_mode(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    ids = [post(caller, PATHS[0], URL_BODY).json()["id"] for caller in (alice, bob, alice.with_key(test=True))]
    assert len(set(ids)) == 3
    assert post(alice.with_key(), PATHS[0], URL_BODY).json()["id"] == ids[0]  # another key of the same tenant


@both_apis
def test_a_replay_charges_no_limit(alice: Caller, path: str) -> None:
    alice.limit(in_flight=1, requests_per_minute=1)
    first = post(alice, path, URL_BODY)
    assert status_and_body(post(alice, path, URL_BODY)) == status_and_body(first)
    assert post(alice, path, URL_BODY, "order-2").status_code == 429


@both_apis
def test_a_refused_request_is_not_remembered(alice: Caller, path: str) -> None:
    alice.limit(in_flight=0)
    assert post(alice, path, URL_BODY).status_code == 429
    assert post(alice, path, {**URL_BODY, "resolution": "8k"}).status_code == 400
    alice.limit(in_flight=None)
    assert post(alice, path, URL_BODY).status_code in (200, 202)


@both_apis
@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb", "a\x00b"])
def test_an_invalid_key_is_an_error_of_that_field(alice: Caller, path: str, key: str) -> None:
    answer = alice.http.post(path, URL_BODY, format="json", HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.content.decode()
    assert not Generation.objects.exists()


def test_a_key_of_255_characters_is_accepted(alice: Caller) -> None:
    assert post(alice, PATHS[0], URL_BODY, "x" * 255).status_code == 202


@both_apis
def test_a_repeat_finds_the_generation_whose_answer_was_lost_after_the_commit(
    alice: Caller, path: str, settings: Any
) -> None:
    settings.FAILPOINT = "accept_committed:raise"
    assert post(alice, path, URL_BODY).status_code == 500
    settings.FAILPOINT = ""
    answer = post(alice, path, URL_BODY)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert Generation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [None, 1])
@both_apis
def test_fifty_requests_at_once_create_one_generation(alice: Caller, path: str, limit: int | None) -> None:
    alice.limit(in_flight=limit)
    barrier, answers = threading.Barrier(50), []
    connections = threading.BoundedSemaphore(20)  # as many connections as a server would have

    def call() -> None:
        http = with_key(alice.key_text)
        barrier.wait(30)
        with connections:
            answer = http.post(path, URL_BODY, format="json", headers={"Idempotency-Key": "order-1"})
            answers.append((*status_and_body(answer), answer.headers.get("Idempotent-Replayed")))
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Generation.objects.count() == 1
    assert len({content for _, content, _ in answers}) == 1
    assert Counter(replayed for _, _, replayed in answers) == {None: 1, "true": 49}
    assert reconcile.check(alice.tenant.pk) == []
