"""A create names a model that the key's own list and its tenant's list have."""

from datetime import timedelta
from typing import Any

import pytest

from generations.intake import idempotency
from generations.models import Generation, InputImage
from tenants import actions
from tenants.keys.allowed_models import is_model_allowed
from tenants.known_models import known_models
from tenants.models import ApiKey, LedgerEntry, Tenant, Window
from tests.http_client import with_key
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.images import base64_of, image_bytes

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
PATHS = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]
URL_BODY = {"image": "https://example.com/a.png", "resolution": "480p"}


@pytest.fixture(autouse=True)
def _models(monkeypatch: Any) -> None:
    """Let the catalogue have many models."""
    monkeypatch.setattr(known_models, "_source", lambda: [LITE, PRO, *(f"model-{number}" for number in range(30))])


def create(caller: Caller, path: str = PATHS[0], **headers: str) -> Any:
    """Send a create of the lite model and return the answer."""
    return caller.http.post(path, URL_BODY, format="json", headers=headers)


@pytest.mark.parametrize(
    ("of_tenant", "of_key", "allowed"),
    [
        ([], [], [LITE, PRO]),
        ([LITE], [], [LITE]),
        ([], [PRO], [PRO]),
        ([LITE, PRO], [PRO], [PRO]),
        ([LITE], [LITE, PRO], [LITE]),
        ([LITE], [PRO], []),
    ],
    ids=["no lists", "tenant's", "key's", "key's is shorter", "tenant's is shorter", "disjoint"],
)
def test_a_model_has_to_be_on_both_lists(of_tenant: list[str], of_key: list[str], allowed: list[str]) -> None:
    key = ApiKey(allowed_models=of_key, tenant=Tenant(allowed_models=of_tenant))
    assert [model for model in (LITE, PRO) if is_model_allowed(key, model)] == allowed


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("holder", ["tenant", "key"])
def test_another_model_is_refused_before_any_hold_or_image(alice: Caller, bucket: Any, path: str, holder: str) -> None:
    if holder == "tenant":
        actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    else:
        actions.change_key(ACTOR, alice.key, allowed_models=[PRO])
    answer = alice.http.post(path, {**URL_BODY, "image": base64_of(image_bytes())}, format="json")
    sentence = f"This API key may not use the model {LITE}. It may use: {PRO}."
    if path == PATHS[0]:
        assert (answer.status_code, answer.json()["code"]) == (403, "model_not_allowed")
        assert answer.json()["detail"] == sentence
    else:
        assert (answer.status_code, answer.json()["reason"]) == (403, "API_NOT_ALLOWED")
        assert answer.json()["message"] == sentence
    assert not any(model.objects.exists() for model in (Generation, InputImage, LedgerEntry, Window))
    assert "Contents" not in bucket.list_objects_v2(Bucket="seedance-tests")


def test_a_listed_model_is_created_and_everything_is_after_the_lists_end(alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[LITE, PRO])
    actions.change_key(ACTOR, alice.key, allowed_models=[LITE])
    assert create(alice).status_code == 202
    actions.change_key(ACTOR, alice.key, allowed_models=[PRO])
    assert create(alice).status_code == 403
    assert create(alice.with_key()).status_code == 202
    actions.change_key(ACTOR, alice.key, allowed_models=[])
    assert create(alice).status_code == 202


@pytest.mark.parametrize(
    ("of_tenant", "of_key", "named"),
    [
        ([f"model-{number}" for number in range(25)], [], "model-18, model-19 and 5 more."),
        ([PRO, "model-1"], ["model-1", "model-2"], "It may use: model-1."),
        ([PRO], ["model-1"], "It may use: no model."),
    ],
    ids=["long", "both", "none"],
)
def test_the_message_names_what_both_lists_allow(
    alice: Caller, of_tenant: list[str], of_key: list[str], named: str
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=of_tenant)
    actions.change_key(ACTOR, alice.key, allowed_models=of_key)
    assert create(alice).json()["detail"].endswith(named)


@pytest.mark.parametrize("path", PATHS)
def test_a_repeat_of_an_earlier_create_still_gets_its_generation(alice: Caller, path: str) -> None:
    first = create(alice, path, **{"Idempotency-Key": "order-1"})
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    again = create(alice, path, **{"Idempotency-Key": "order-1"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert create(alice, path, **{"Idempotency-Key": "order-2"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_repeat_finds_what_was_created_while_it_was_checked(alice: Caller, monkeypatch: Any) -> None:
    """The first request is admitted, and the list shortened, after the second one has looked for the first."""
    find, answers = idempotency.find_existing, list[Any]()

    def find_too_early(*args: Any) -> Any:
        existing = find(*args)
        if not answers:
            answers.append(None)
            answers[0] = create(alice, **{"Idempotency-Key": "order-1"})
            actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
        return existing

    monkeypatch.setattr(idempotency, "find_existing", find_too_early)
    again = create(alice, **{"Idempotency-Key": "order-1"})
    assert (again.status_code, again.content) == (202, answers[0].content)
    assert Generation.objects.count() == 1


def test_what_was_created_earlier_is_read_and_not_rerun(alice: Caller) -> None:
    generation = make_generation(alice, image=None, image_url=URL_BODY["image"])
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    assert alice.http.get(f"/v1/generations/{generation.pk}").status_code == 200
    rerun = alice.http.post(f"/v1/generations/{generation.pk}/rerun", {}, format="json")
    assert (rerun.status_code, rerun.json()["code"]) == (403, "model_not_allowed")


def test_a_model_that_was_allowed_a_moment_ago_by_another_process_is_not_refused(alice: Caller) -> None:
    actions.change_key(ACTOR, alice.key, allowed_models=[PRO])
    assert create(alice).status_code == 403
    ApiKey.objects.filter(pk=alice.key.pk).update(allowed_models=[LITE])  # the cached key stays
    assert create(alice).status_code == 202


def test_a_rolled_key_carries_both_lists_over_even_with_a_model_that_is_gone(alice: Caller, monkeypatch: Any) -> None:
    lists = {"allowed_models": [LITE, PRO], "allowed_networks": ["127.0.0.0/8", "2001:db8::/32"]}
    actions.change_key(ACTOR, alice.key, **lists)
    monkeypatch.setattr(known_models, "_source", lambda: [LITE])
    new, _ = actions.roll_key(ACTOR, alice.key, timedelta(hours=1))
    assert ApiKey.objects.get(prefix=new.prefix).allow_lists == lists
    assert with_key(new.text).get("/v1/generations").status_code == 200
    assert with_key(new.text).get("/v1/generations", REMOTE_ADDR="192.0.2.1").status_code == 403
