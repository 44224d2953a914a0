"""/v1/webhook-endpoints and the tenant's own secret."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import endpoints
from tenants.models import AuditEntry
from tests.support.factories import Caller
from tests.support.webhooks import ENDPOINT_URL, make_endpoint

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]
PATH = "/v1/webhook-endpoints"


def make(caller: Caller, **body: Any) -> Any:
    return caller.http.post(PATH, {"url": ENDPOINT_URL, **body}, format="json")


def test_a_create_answers_with_the_endpoint_and_its_secret_once(alice: Caller) -> None:
    answer = make(alice, events=["generation.failed"], description="the shop")
    assert answer.status_code == 201
    payload = answer.json()
    secret = payload.pop("secret")
    assert secret.startswith("whsec_")
    assert payload == {
        "id": str(WebhookEndpoint.objects.get().pk),
        "url": ENDPOINT_URL,
        "description": "the shop",
        "events": ["generation.failed"],
        "enabled": True,
        "disabled_at": None,
        "disabled_reason": "",
        "failing_since": None,
        "previous_secret_until": None,
        "test": False,
        "created_at": payload["created_at"],
    }
    assert alice.http.get(f"{PATH}/{payload['id']}").json() == payload
    assert alice.http.get(PATH).json() == {"webhook_endpoints": [payload]}
    assert AuditEntry.objects.get(action="create webhook endpoint").actor == f"key:{alice.key.prefix}"


def test_a_description_may_have_what_a_line_may_have(alice: Caller) -> None:
    answer = make(alice, description="\u8acb\u6c42\u3000\u66f8\ue000")
    assert (answer.status_code, answer.json()["description"]) == (201, "\u8acb\u6c42\u3000\u66f8\ue000")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": None}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://example.com/" + "a" * 3000}, "url"),
        ({"events": "generation.failed"}, "events"),
        ({"events": ["generation.exploded"]}, "events.0"),
        ({"events": [["generation.failed"]]}, "events.0"),
        ({"events": ["generation.failed"] * 100}, "events"),
        ({"description": "x" * 201}, "description"),
        ({"description": 7}, "description"),
        ({"description": "two\nlines"}, "description"),
        ({"description": "\u202eturned"}, "description"),
        ({"secret": "whsec_mine"}, "secret"),
        ({"enabled": False}, "enabled"),
    ],
)
def test_a_wrong_field_is_named(alice: Caller, body: Any, field: str) -> None:
    answer = make(alice, **body)
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not WebhookEndpoint.objects.exists()


def test_a_create_needs_its_url(alice: Caller) -> None:
    assert alice.http.post(PATH, {}, format="json").json()["errors"][0]["field"] == "url"


def test_an_endpoint_more_than_the_maximum_is_refused(alice: Caller, monkeypatch: Any) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 1)
    assert make(alice).status_code == 201
    answer = make(alice)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


def test_a_change_sets_what_is_given_and_leaves_the_rest(alice: Caller) -> None:
    created = make(alice, events=["generation.failed"], description="old").json()
    path = f"{PATH}/{created['id']}"
    answer = alice.http.patch(path, {"description": "new"}, format="json")
    assert answer.status_code == 200
    assert answer.json() == {**{k: v for k, v in created.items() if k != "secret"}, "description": "new"}
    changed = alice.http.patch(path, {"url": f"{ENDPOINT_URL}/2", "events": []}, format="json").json()
    assert (changed["url"], changed["events"]) == (f"{ENDPOINT_URL}/2", [])
    assert alice.http.patch(path, {}, format="json").json() == changed


def test_a_change_disables_and_enables(alice: Caller) -> None:
    path = f"{PATH}/{make_endpoint(alice).pk}"
    off = alice.http.patch(path, {"enabled": False}, format="json").json()
    assert (off["enabled"], off["disabled_at"] is None, off["disabled_reason"]) == (False, False, "")
    assert alice.http.post(f"{path}/test").status_code == 409
    on = alice.http.patch(path, {"enabled": True, "description": "back"}, format="json").json()
    assert (on["enabled"], on["disabled_at"], on["description"]) == (True, None, "back")


@pytest.mark.parametrize("body", [{"enabled": "no"}, {"enabled": 0}, {"enabled": None}, {"url": ""}, {"id": "x"}])
def test_a_wrong_change_changes_nothing(alice: Caller, body: Any) -> None:
    endpoint = make_endpoint(alice)
    answer = alice.http.patch(f"{PATH}/{endpoint.pk}", {"description": "new", **body}, format="json")
    assert answer.status_code == 400
    endpoint.refresh_from_db()
    assert endpoint.description == ""


def test_a_deleted_endpoint_is_not_found(alice: Caller) -> None:
    path = f"{PATH}/{make_endpoint(alice).pk}"
    assert alice.http.delete(path).status_code == 204
    for answer in (
        alice.http.get(path),
        alice.http.patch(path, {}, format="json"),
        alice.http.delete(path),
        alice.http.post(f"{path}/test"),
        alice.http.post(f"{path}/rotate-secret", {}, format="json"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_endpoint_not_found")
    assert alice.http.get(PATH).json() == {"webhook_endpoints": []}


@pytest.mark.parametrize("path", ["/v1/webhook-secret/rotate", "endpoint"])
@pytest.mark.parametrize(("hours", "status"), [(None, 200), (0, 200), (168, 200), (169, 400), (-1, 400), ("1", 400)])
def test_a_rotation_gives_a_new_secret_and_says_how_long_the_old_one_is_good(
    alice: Caller, path: str, hours: Any, status: int
) -> None:
    path = path if path != "endpoint" else f"{PATH}/{make_endpoint(alice).pk}/rotate-secret"
    answer = alice.http.post(path, {} if hours is None else {"overlap_hours": hours}, format="json")
    assert answer.status_code == status
    if status == 200:
        payload = answer.json()
        assert payload["secret"].startswith("whsec_")
        assert (payload["previous_secret_until"] is None) == (hours == 0)


def test_a_body_is_not_needed_for_a_rotation(alice: Caller) -> None:
    assert alice.http.post("/v1/webhook-secret/rotate").status_code == 200


def test_a_test_is_sent_whatever_the_endpoint_names(alice: Caller) -> None:
    endpoint = make_endpoint(alice, events=["generation.failed"])
    make_endpoint(alice)
    answer = alice.http.post(f"{PATH}/{endpoint.pk}/test")
    assert answer.status_code == 202
    row = Delivery.objects.get()
    payload = answer.json()
    assert (payload["id"], payload["type"], payload["webhook_endpoint"]) == (
        str(row.pk),
        "webhook.test",
        str(endpoint.pk),
    )
    assert payload["status"] == "pending"


def test_a_key_without_the_scope_may_do_nothing_here(alice: Caller) -> None:
    endpoint = make_endpoint(alice)
    other = alice.with_key(scopes=["generations:write", "generations:read", "usage:read"]).http
    path = f"{PATH}/{endpoint.pk}"
    for answer in (
        other.get(PATH),
        other.post(PATH, {"url": ENDPOINT_URL}, format="json"),
        other.get(path),
        other.patch(path, {}, format="json"),
        other.delete(path),
        other.post(f"{path}/test"),
        other.post(f"{path}/rotate-secret"),
        other.post("/v1/webhook-secret/rotate"),
        other.get("/v1/webhook-deliveries"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    only = alice.with_key(scopes=["webhooks:manage"]).http
    assert only.patch(path, {"description": "x"}, format="json").status_code == 200
    assert only.delete(path).status_code == 204


def test_a_test_key_sees_endpoints_of_tests_alone(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:1"
    tests = alice.with_key(test=True)
    live, test = make(alice).json(), make(tests).json()
    assert test["test"]
    for caller, own, others in ((alice, live, test), (tests, test, live)):
        assert [row["id"] for row in caller.http.get(PATH).json()["webhook_endpoints"]] == [own["id"]]
        assert caller.http.get(f"{PATH}/{others['id']}").status_code == 404


def test_a_list_costs_the_same_however_long(alice: Caller) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert alice.http.get(PATH).status_code == 200
        return len(queries)

    make_endpoint(alice)
    queries()
    before = queries()
    for _ in range(5):
        make_endpoint(alice)
    assert queries() == before
