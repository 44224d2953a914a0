"""A deleted generation keeps what was paid for, and none of the caller's words."""

import json
from typing import Any

import pytest
from django.db import connection

from generations import lifecycle
from generations.models import Attempt, Delivery, Event, Generation, Label
from generations.ops import actions
from generations.webhooks import endpoints, outbox
from tenants.audit import Actor
from tenants.errors import NotPossible
from tests.generations.api.test_generation_actions import delete, post_action
from tests.generations.test_lifecycle import ledger_kinds
from tests.support import attempts
from tests.support.factories import ACTOR, Caller
from tests.support.webhooks import make_endpoint

pytestmark = pytest.mark.usefixtures("bucket")
WORD = "zanzibar"
HOOK = f"https://hooks.example.com/{WORD}?token={WORD}"


def create(caller: Caller, body: dict[str, Any], **fields: Any) -> Generation:
    """Create a generation full of words by the API, and return its row."""
    words = {"prompt": f"A {WORD}.", "external_id": WORD, "metadata": {WORD: WORD}, "webhook_url": HOOK}
    response = caller.http.post(
        "/v1/generations", {**body, **words, **fields}, format="json", HTTP_IDEMPOTENCY_KEY="the key"
    )
    assert response.status_code == 202, response.content
    return Generation.objects.get(pk=response.json()["id"])


def end(generation: Generation) -> None:
    """Let the upstream refuse the generation in the caller's words."""
    attempt = attempts.start_submitting(generation)
    Attempt.objects.filter(generation=generation).update(detail=WORD, answer=WORD)
    assert lifecycle.fail(generation, "content_refused", f"The prompt says {WORD}.", fenced=False)
    Event.objects.filter(generation=generation).update(detail=WORD)
    assert attempt


def rows_with_the_word() -> list[str]:
    """Return the columns of any table, except the audit log's, in which the word stands."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description or ()]
            found += [
                f"{table}.{name}"
                for row in cursor.fetchall()
                for name, value in zip(names, row, strict=True)
                if WORD in str(value) and table != "tenants_auditentry"
            ]
    return found


def test_the_texts_among_a_models_other_fields_are_forgotten_and_what_was_paid_for_stays(alice: Caller) -> None:
    body = {"model": "kling-v3.0-std-t2v", "negative_prompt": f"No {WORD}.", "audio": True}
    generation = create(alice, body, webhook_url="")
    end(generation)
    assert delete(alice, generation).status_code == 204
    assert rows_with_the_word() == []
    row = alice.http.get(f"/v1/generations/{generation.pk}").json()
    assert (row["negative_prompt"], row["audio"], row["cfg_scale"]) == ("", True, 0.5)


def test_no_row_has_a_word_of_the_caller_after_a_delete(alice: Caller, body: dict[str, Any]) -> None:
    make_endpoint(alice)
    generation = create(alice, body)
    end(generation)
    Delivery.objects.update(status="delivered", due_at=None, finished_at=generation.created_at)
    assert len(set(rows_with_the_word())) > 8
    assert delete(alice, generation).status_code == 204
    assert rows_with_the_word() == []
    row = alice.http.get(f"/v1/generations/{generation.pk}").json()
    assert (row["prompt"], row["external_id"], row["metadata"], row["webhook_url"]) == ("", "", {}, "")
    assert (row["seed"], row["error"]["code"]) == (generation.seed, "content_refused")
    assert ledger_kinds(generation) == ["hold", "release"]
    assert alice.http.get("/v1/generations", {"metadata": f"{WORD}={WORD}"}).json()["generations"] == []
    assert alice.http.get("/v1/generations", {"external_id": WORD}).json()["generations"] == []
    assert not Label.objects.exists()
    for delivery in Delivery.objects.all():
        data = json.loads(delivery.body)["data"]
        assert (data["id"], data["external_id"]) == (str(generation.pk), "")
        assert data["error"] == {"code": "content_refused", "message": outbox.FORGOTTEN}
        assert delivery.url in ("", "https://hooks.example.com/")


def test_an_image_that_was_given_by_url_leaves_its_host(alice: Caller, body: dict[str, Any]) -> None:
    body["image"] = f"https://images.example.com/{WORD}.jpg?signature={WORD}"
    generation = create(alice, body, last_image=f"https://images.example.com/{WORD}.png")
    lifecycle.cancel(generation, "cancelled")
    Delivery.objects.update(status="delivered", due_at=None, finished_at=generation.created_at)
    assert delete(alice, generation).status_code == 204
    assert rows_with_the_word() == []
    assert Generation.objects.get().image_url == "https://images.example.com/"


def test_a_deleted_generation_runs_no_more(alice: Caller, body: dict[str, Any]) -> None:
    body["image"] = "https://images.example.com/a.jpg"
    generation = create(alice, body)
    lifecycle.cancel(generation, "cancelled")
    delete(alice, generation)
    response = post_action(alice, generation, "rerun")
    assert (response.status_code, response.json()["code"]) == (409, "inputs_gone")
    generation = Generation.objects.get()
    with pytest.raises(Exception, match="deleted"):
        actions.rerun(Actor(name="olga", reason="asked for"), generation)
    assert Generation.objects.count() == 1


def test_a_late_repeat_of_the_create_is_not_paid_for(alice: Caller, body: dict[str, Any]) -> None:
    generation = create(alice, body)
    lifecycle.cancel(generation, "cancelled")
    delete(alice, generation)
    words = {"prompt": f"A {WORD}.", "external_id": WORD, "metadata": {WORD: WORD}, "webhook_url": HOOK}
    response = alice.http.post("/v1/generations", {**body, **words}, format="json", HTTP_IDEMPOTENCY_KEY="the key")
    assert response.json()["id"] == str(generation.pk)
    assert Generation.objects.count() == 1


def test_a_pending_delivery_goes_to_its_address_without_the_words(alice: Caller, body: dict[str, Any]) -> None:
    generation = create(alice, body)
    lifecycle.cancel(generation, "cancelled")
    delete(alice, generation)
    [delivery] = Delivery.objects.all()
    assert delivery.url == HOOK
    assert WORD not in delivery.body


def test_a_webhook_whose_address_is_forgotten_is_not_sent_again(alice: Caller, body: dict[str, Any]) -> None:
    generation = create(alice, body)
    lifecycle.cancel(generation, "cancelled")
    Delivery.objects.update(status="delivered", due_at=None, finished_at=generation.created_at)
    delete(alice, generation)
    with pytest.raises(NotPossible, match="deleted"):
        endpoints.redeliver(ACTOR, Delivery.objects.get())


def test_a_generation_that_is_not_deleted_keeps_its_words(alice: Caller, bob: Caller, body: dict[str, Any]) -> None:
    mine, theirs = create(alice, body), create(bob, body)
    for generation in (mine, theirs):
        lifecycle.cancel(generation, "cancelled")
    delete(alice, mine)
    row = bob.http.get(f"/v1/generations/{theirs.pk}").json()
    assert (row["prompt"], row["metadata"]) == (f"A {WORD}.", {WORD: WORD})
    assert bob.http.get("/v1/generations", {"metadata": f"{WORD}={WORD}"}).json()["generations"]
