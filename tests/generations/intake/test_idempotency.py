"""The same Idempotency-Key and request: one generation, one charge, one answer, however often and at one moment."""

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
from generations.catalog import video_models
from generations.intake import idempotency
from generations.intake.generation_request import GenerationRequest
from generations.models import Generation
from tenants.models import LedgerEntry
from tenants.money import reconcile
from tests.generations.test_lifecycle import VIDEO
from tests.http_client import with_key
from tests.support.factories import Caller

APIS = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]
URL_BODY = {"image": "https://pictures.example.com/a.png", "resolution": "480p"}

apis = pytest.mark.parametrize("path", APIS)


def post(caller: Caller, path: str, body: dict[str, Any], key: str = "order-1") -> Any:
    return caller.http.post(path, body, format="json", headers={"Idempotency-Key": key})


def told(answer: Any) -> tuple[int, bytes]:
    return answer.status_code, answer.content


@apis
def test_the_same_again_is_the_same_generation_and_answer(
    alice: Caller, path: str, body: dict[str, Any], bucket: Any
) -> None:
    first = post(alice, path, body)
    assert "Idempotent-Replayed" not in first.headers
    for _ in range(3):
        again = post(alice, path, body)
        assert told(again) == told(first)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers.get("Location") == first.headers.get("Location")
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1


@apis
def test_it_is_the_first_answer_that_comes_again_wherever_the_generation_is_now(alice: Caller, path: str) -> None:
    first = post(alice, path, URL_BODY)
    g = Generation.objects.get()
    attempt = lifecycle.start_submitting(g)
    assert attempt is not None
    lifecycle.mark_running(g, attempt, "up", 2)
    lifecycle.start_copying(g, g.seed)
    lifecycle.mark_succeeded(g, VIDEO)
    assert told(post(alice, path, URL_BODY)) == told(first)
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        assert told(post(alice, path, URL_BODY)) == told(first)


@apis
def test_another_request_with_the_key_is_refused_and_does_nothing(alice: Caller, path: str) -> None:
    post(alice, path, URL_BODY)
    for other in ({**URL_BODY, "seed": 5}, {**URL_BODY, "prompt": "another"}, {**URL_BODY, "resolution": "720p"}):
        answer = post(alice, path, other)
        assert answer.status_code == 422
        told = answer.json()
        assert told.get("reason", told["code"]) in ("idempotency_key_reused", "INVALID_REQUEST_BODY")
    [elsewhere] = [other for other in APIS if other != path]
    assert post(alice, elsewhere, URL_BODY).status_code == 422
    assert Generation.objects.count() == 1


def test_the_same_request_may_be_written_another_way(alice: Caller) -> None:
    first = post(alice, APIS[0], URL_BODY)
    again = alice.http.generic(
        "POST",
        APIS[0],
        '{"resolution":   "480p", "duration": 5, "image": "https://pictures.example.com/a.png"}',
        content_type="application/json",
        headers={"Idempotency-Key": "order-1"},
    )
    assert told(again) == told(first)


def test_what_a_release_changes_of_a_model_makes_no_other_request(alice: Caller, monkeypatch: Any) -> None:
    first = post(alice, APIS[0], URL_BODY)
    dearer = dataclasses.replace(video_models.SEEDANCE_V1_LITE_I2V, usd_per_million_tokens_micro=9_900_000)
    init = GenerationRequest.__init__
    monkeypatch.setattr(GenerationRequest, "__init__", lambda self, **fields: init(self, **{**fields, "model": dearer}))
    assert told(post(alice, APIS[0], {**URL_BODY, "seed": -1})) == told(first)
    assert post(alice, APIS[0], {**URL_BODY, "seed": 0}).status_code == 422


def test_the_digest_takes_every_field_of_a_request() -> None:
    """A field that DIGEST_FIELDS lacks would let one key stand for two different requests."""
    assert set(idempotency.DIGEST_FIELDS) == {field.name for field in dataclasses.fields(GenerationRequest)}


def test_a_key_is_the_tenants_own_and_that_of_one_world(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    ids = [post(caller, APIS[0], URL_BODY).json()["id"] for caller in (alice, bob, alice.with_key(test=True))]
    assert len(set(ids)) == 3
    assert post(alice.with_key(), APIS[0], URL_BODY).json()["id"] == ids[0]  # another key of the same tenant


@apis
def test_a_replay_takes_nothing_of_any_limit(alice: Caller, path: str) -> None:
    alice.limit(in_flight=1, requests_per_minute=1)
    first = post(alice, path, URL_BODY)
    assert told(post(alice, path, URL_BODY)) == told(first)
    assert post(alice, path, URL_BODY, "order-2").status_code == 429


@apis
def test_what_was_refused_is_not_remembered(alice: Caller, path: str) -> None:
    alice.limit(in_flight=0)
    assert post(alice, path, URL_BODY).status_code == 429
    assert post(alice, path, {**URL_BODY, "resolution": "8k"}).status_code == 400
    alice.limit(in_flight=None)
    assert post(alice, path, URL_BODY).status_code in (200, 202)


@apis
@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb", "a\x00b"])
def test_a_key_that_is_none_is_an_error_of_that_field(alice: Caller, path: str, key: str) -> None:
    answer = alice.http.post(path, URL_BODY, format="json", HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.content.decode()
    assert not Generation.objects.exists()


def test_a_key_of_255_characters_is_one(alice: Caller) -> None:
    assert post(alice, APIS[0], URL_BODY, "x" * 255).status_code == 202


@apis
def test_an_answer_that_was_lost_after_the_commit_is_found_by_the_key(alice: Caller, path: str, settings: Any) -> None:
    settings.FAILPOINT = "accept_committed:raise"
    assert post(alice, path, URL_BODY).status_code == 500
    settings.FAILPOINT = ""
    answer = post(alice, path, URL_BODY)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert Generation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [None, 1])
@apis
def test_fifty_at_one_moment_make_one(alice: Caller, path: str, limit: int | None) -> None:
    alice.limit(in_flight=limit)
    barrier, answers = threading.Barrier(50), []
    room = threading.BoundedSemaphore(20)  # as many connections as a server would have

    def call() -> None:
        http = with_key(alice.key_text)
        barrier.wait(30)
        with room:
            answer = http.post(path, URL_BODY, format="json", headers={"Idempotency-Key": "order-1"})
            answers.append((*told(answer), answer.headers.get("Idempotent-Replayed")))
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
