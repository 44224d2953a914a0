from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tenants import keys
from tenants.models import ApiKey
from tests.conftest import Caller, client

ROUTES = [
    ("post", "/v3/async/seedance-v1-lite-i2v"),
    ("get", "/v3/async/task-result"),
    ("post", "/v1/generations"),
    ("get", "/v1/generations"),
    ("get", "/v1/generations/01a208eb-42a6-7ec4-8abd-2b3aa62e6fca"),
]


def headers_that_are_no_key(caller: Caller) -> dict[str, str | None]:
    revoked, mistyped = keys.mint(), caller.key_text[:-1] + ("0" if caller.key_text[-1] != "0" else "1")
    ApiKey.objects.create(tenant=caller.tenant, prefix=revoked.prefix, digest=revoked.digest, revoked_at=timezone.now())
    return {
        "missing": None,
        "empty": "",
        "only the scheme": "Bearer",
        "malformed": "Bearer x",
        "mistyped": f"Bearer {mistyped}",
        "unknown": f"Bearer {keys.mint().text}",
        "revoked": f"Bearer {revoked.text}",
        "another scheme": f"Basic {caller.key_text}",
        "long": "Bearer " + "x" * 100_000,
        "not ascii": "Bearer \u00fc\u00fc",
    }


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_wrong_key_gets_the_same_answer(alice: Caller, method: str, path: str) -> None:
    answers = set()
    for header in headers_that_are_no_key(alice).values():
        http = APIClient(raise_request_exception=False)
        if header is not None:
            http.credentials(HTTP_AUTHORIZATION=header)
        answer = getattr(http, method)(path)
        answers.add((answer.status_code, answer.content))
    [(status, _)] = answers
    assert status == (403 if path.startswith("/v3/") else 401)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "", "Bearer  "])
def test_a_key_is_taken_with_and_without_bearer(alice: Caller, scheme: str) -> None:
    http = APIClient()
    http.credentials(HTTP_AUTHORIZATION=scheme + alice.key_text)
    assert http.get("/v1/generations").status_code == 200


def test_novitas_wire_says_it_in_novitas_words(db: None) -> None:
    answer = client("x").get("/v3/async/task-result")
    assert answer.json() == {
        "code": 403,
        "reason": "INVALID_API_KEY",
        "message": "The API key is missing, malformed, unknown, expired or revoked.",
        "metadata": {},
    }


def test_the_services_own_api_says_it_as_problem_details(db: None) -> None:
    answer = client("x").get("/v1/generations")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_api_key"


def test_a_session_of_the_panel_opens_no_door_of_the_api(alice: Caller, admin_client: Any) -> None:
    assert admin_client.get("/v1/generations").status_code == 401


def test_a_key_is_never_stored(alice: Caller) -> None:
    [row] = ApiKey.objects.values()
    assert alice.key_text not in str(row)
    assert row["digest"] == keys.digest(alice.key_text)
