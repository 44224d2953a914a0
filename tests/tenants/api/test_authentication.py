from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from tenants import actions
from tenants.keys import key_format
from tenants.keys.throttle import MAX_WRONG_KEYS
from tenants.models import ApiKey
from tests.http_client import Client, with_key
from tests.support.factories import ACTOR, Caller

ROUTES = [
    ("post", "/v3/async/seedance-v1-lite-i2v"),
    ("get", "/v3/async/task-result"),
    ("post", "/v1/generations"),
    ("get", "/v1/generations"),
    ("get", "/v1/generations/01a208eb-42a6-7ec4-8abd-2b3aa62e6fca"),
]


def headers_that_are_no_key(caller: Caller) -> dict[str, str | None]:
    mistyped = caller.key_text[:-1] + ("0" if caller.key_text[-1] != "0" else "1")
    expired, revoked = caller.with_key(expires_at=timezone.now()), caller.with_key()
    actions.revoke_key(ACTOR, revoked.key)
    return {
        "expired": f"Bearer {expired.key_text}",
        "missing": None,
        "empty": "",
        "only the scheme": "Bearer",
        "malformed": "Bearer x",
        "mistyped": f"Bearer {mistyped}",
        "unknown": f"Bearer {key_format.generate().text}",
        "revoked": f"Bearer {revoked.key_text}",
        "another scheme": f"Basic {caller.key_text}",
        "long": "Bearer " + "x" * 100_000,
        "not ascii": "Bearer \u00fc\u00fc",
    }


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_wrong_key_gets_the_same_answer(alice: Caller, method: str, path: str) -> None:
    answers = set()
    for header in headers_that_are_no_key(alice).values():
        http = Client(HTTP_X_REQUEST_ID="tests")
        if header is not None:
            http.credentials(HTTP_AUTHORIZATION=header)
        answer = getattr(http, method)(path)
        answers.add((answer.status_code, answer.content))
    [(status, _)] = answers
    assert status == (403 if path.startswith("/v3/") else 401)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "", "Bearer  "])
def test_a_key_is_taken_with_and_without_bearer(alice: Caller, scheme: str) -> None:
    http = Client()
    http.credentials(HTTP_AUTHORIZATION=scheme + alice.key_text)
    assert http.get("/v1/generations").status_code == 200


def test_the_novita_api_refuses_a_key_in_novitas_format(db: None) -> None:
    answer = with_key("x").get("/v3/async/task-result")
    assert answer.json() == {
        "code": 403,
        "reason": "INVALID_API_KEY",
        "message": "The API key is missing, malformed, unknown, expired or revoked.",
        "metadata": {"request_id": "tests"},
    }


def test_the_native_api_refuses_a_key_as_problem_details(db: None) -> None:
    answer = with_key("x").get("/v1/generations")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_api_key"


def test_a_session_of_the_panel_gives_no_access_to_the_api(alice: Caller, admin_client: Any) -> None:
    assert admin_client.get("/v1/generations").status_code == 401


def test_head_asks_for_the_scope_of_get(alice: Caller) -> None:
    writer = alice.with_key(scopes=["generations:write"])
    assert {writer.http.head(path).status_code for path in ("/v1/generations", "/v1/usage", "/v1/limits")} == {403}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_key_does_only_what_its_scopes_allow(alice: Caller, method: str, path: str) -> None:
    needed = "generations:write" if method == "post" else "generations:read"
    others = [scope for scope in ApiKey.Scope.values if scope != needed]
    refused = getattr(alice.with_key(scopes=others).http, method)(path)
    assert refused.status_code == 403
    assert needed in refused.content.decode()
    assert getattr(alice.with_key(scopes=[needed]).http, method)(path).status_code != 403


def test_the_last_use_is_recorded_once_a_minute(alice: Caller, django_assert_num_queries: Any) -> None:
    alice.http.get("/v1/generations")
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    with django_assert_num_queries(0):  # beside the prepared one of the rows: the key is cached, and nothing is written
        alice.http.get("/v1/generations")
    with time_machine.travel(noted + timedelta(seconds=61)):
        alice.http.get("/v1/generations")
    later = ApiKey.objects.get().last_used_at
    assert later is not None
    assert later > noted


def test_an_address_that_shows_too_many_wrong_keys_waits(alice: Caller, django_assert_num_queries: Any) -> None:
    guesser = with_key(key_format.generate().text)
    for _ in range(MAX_WRONG_KEYS):
        assert guesser.get("/v1/generations").status_code == 401
    with django_assert_num_queries(1):  # the key, by an index: it might be a right one
        answer = guesser.get("/v1/generations")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failed_authentications")
    assert 1 <= int(answer["Retry-After"]) <= 60
    with django_assert_num_queries(0):  # a text that is no key is not looked up
        assert with_key("x").get("/v1/generations").status_code == 429


@pytest.mark.parametrize("header", [None, "", " ", "Bearer", "Bearer  ", "bearer"])
def test_a_request_without_a_key_is_no_guess(alice: Caller, header: str | None) -> None:
    http = Client()
    if header is not None:
        http.credentials(HTTP_AUTHORIZATION=header)
    for _ in range(MAX_WRONG_KEYS + 1):
        assert http.get("/v1/generations").status_code == 401
    assert with_key(key_format.generate().text).get("/v1/generations").status_code == 401


def test_a_right_key_that_no_request_has_shown_before_is_let_in_from_a_guessers_address(alice: Caller) -> None:
    fail_often(with_key(key_format.generate().text))
    assert alice.http.get("/v1/generations").status_code == 200
    revoked = alice.with_key()
    actions.revoke_key(ACTOR, revoked.key)
    assert revoked.http.get("/v1/generations").status_code == 429


def test_the_addresses_of_one_ipv6_network_are_throttled_as_one(alice: Caller) -> None:
    guesser = with_key(key_format.generate().text)
    for number in range(MAX_WRONG_KEYS):
        guesser.get("/v1/generations", REMOTE_ADDR=f"2001:db8:1:2::{number:x}")
    assert guesser.get("/v1/generations", REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 429
    assert guesser.get("/v1/generations", REMOTE_ADDR="2001:db8:1:3::1").status_code == 401


def fail_often(http: Any, **headers: str) -> None:
    for _ in range(MAX_WRONG_KEYS + 1):
        http.get("/v1/generations", **headers)


def test_another_address_is_not_throttled(alice: Caller) -> None:
    fail_often(with_key(key_format.generate().text))
    assert alice.http.get("/v1/generations", REMOTE_ADDR="192.0.2.7").status_code == 200


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(alice: Caller, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    fail_often(with_key(key_format.generate().text), HTTP_X_FORWARDED_FOR="1.1.1.1, 192.0.2.1")
    forged = alice.http.get("/v1/generations", HTTP_X_FORWARDED_FOR="192.0.2.1, 192.0.2.2")
    assert forged.status_code == 200  # what a client writes itself stands further left
    stranger = with_key(key_format.generate().text).get("/v1/generations", HTTP_X_FORWARDED_FOR="9.9.9.9, 192.0.2.1")
    assert stranger.status_code == 429


def test_a_right_key_is_no_failure(alice: Caller) -> None:
    for _ in range(MAX_WRONG_KEYS + 5):
        assert alice.http.get("/v1/generations").status_code == 200


def test_a_key_is_never_stored(alice: Caller) -> None:
    [row] = ApiKey.objects.values()
    assert alice.key_text not in str(row)
    assert row["digest"] == key_format.digest(alice.key_text)
