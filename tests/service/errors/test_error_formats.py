"""Every HTTP status that an error can have, at both APIs: JSON in the API's format, with a page and an id."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tenants import actions
from tenants.models import ApiKey
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client, with_key
from tests.support.factories import ACTOR, Caller
from tests.support.hostile import APIS, OWN, RIGHT, Api

pytestmark = pytest.mark.one_database
both = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
READ = {"v1": "/v1/generations/{}", "v3": "/v3/async/task-result?task_id={}"}


class Case(NamedTuple):
    status: int
    code: str
    wire_status: int
    reason: str
    act: Callable[[Api, Caller], Any]
    header: str = ""  # a header that the answer has too


def get(api: Api, caller: Caller, pk: Any = "x", **headers: str) -> Any:
    return caller.http.get(READ[api.name].format(pk), headers=headers)


def without_capacity(api: Api, caller: Caller, **limit: int) -> Any:
    caller.limit(**limit)
    return api.send(caller, RIGHT)


def twice_with_one_key(api: Api, caller: Caller) -> Any:
    api.send(caller, RIGHT, headers={"Idempotency-Key": "1"})
    return api.send(caller, {**RIGHT, "prompt": "another"}, headers={"Idempotency-Key": "1"})


def suspended(api: Api, caller: Caller) -> Any:
    actions.suspend(ACTOR, caller.tenant)
    return api.send(caller, RIGHT)


def chunked(api: Api, caller: Caller) -> Any:
    return api.send(caller, b"", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")


BODY, TYPE = "INVALID_REQUEST_BODY", {"content_type": "text/plain"}
CASES = [
    Case(400, "parse_error", 400, BODY, lambda api, alice: api.send(alice, b"{")),
    Case(400, "invalid_request", 400, BODY, lambda api, alice: api.send(alice, {**RIGHT, "duration": "5"})),
    Case(
        400,
        "image_not_url_or_base64",
        400,
        "INVALID_IMAGE_FORMAT",
        lambda api, alice: api.send(alice, {**RIGHT, "image": "!"}),
    ),
    Case(
        401,
        "invalid_api_key",
        403,
        "INVALID_API_KEY",
        lambda api, alice: with_key("x").get(api.path),
        "WWW-Authenticate",
    ),
    Case(
        402,
        "budget_reached",
        400,
        "BILLING_BALANCE_NOT_ENOUGH",
        lambda api, alice: without_capacity(api, alice, usd_per_month_micro=0),
        "Retry-After",
    ),
    Case(
        403,
        "scope_missing",
        403,
        "API_NOT_ALLOWED",
        lambda api, alice: api.send(alice.with_key(scopes=[ApiKey.Scope.READ]), RIGHT),
    ),
    Case(403, "tenant_suspended", 403, "API_NOT_ALLOWED", suspended),
    Case(404, "generation_not_found", 404, "TASK_NOT_FOUND", get),
    Case(
        404,
        "not_found",
        404,
        "API_NOT_FOUND",
        lambda api, alice: alice.http.get(f"/{api.name}/nothing"),
    ),
    Case(405, "method_not_allowed", 405, BODY, lambda api, alice: alice.http.put(api.path), "Allow"),
    Case(
        405,
        "method_not_allowed",
        405,
        BODY,
        lambda api, alice: alice.http.generic("NO-SUCH", READ[api.name]),
        "Allow",
    ),
    Case(406, "not_acceptable", 406, BODY, lambda api, alice: get(api, alice, Accept="text/html")),
    Case(411, "length_required", 411, BODY, chunked),
    Case(
        413,
        "body_too_large",
        413,
        BODY,
        lambda api, alice: api.send(alice, b"", CONTENT_LENGTH="1000000000000"),
    ),
    Case(415, "unsupported_media_type", 415, BODY, lambda api, alice: api.send(alice, b"{}", **TYPE)),
    Case(422, "idempotency_key_reused", 422, BODY, twice_with_one_key),
    Case(
        429,
        "limit_reached",
        429,
        "RATE_LIMIT_EXCEEDED",
        lambda api, alice: without_capacity(api, alice, in_flight=0),
        "Retry-After",
    ),
]


def check(api: Api, answer: Any, case: Case) -> None:
    body = answer.json()
    if api is OWN:
        assert (answer.status_code, answer["Content-Type"]) == (case.status, "application/problem+json")
        assert (body["status"], body["code"], body["type"]) == (case.status, case.code, f"/docs/errors/{case.code}")
        assert body["title"]
        assert body["detail"]
        assert body["request_id"] == answer["X-Request-Id"]
        assert Client().get(body["type"]).status_code == 200
    else:
        assert (answer.status_code, answer["Content-Type"]) == (case.wire_status, "application/json")
        assert list(body) == ["code", "reason", "message", "metadata"]
        assert (body["code"], body["reason"]) == (case.wire_status, case.reason)
        assert body["metadata"]["request_id"] == answer["X-Request-Id"]
        assert all(isinstance(value, str) for value in body["metadata"].values())
    if case.header:
        assert answer[case.header]


@both
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.status} {case.code}")
def test_an_error_has_the_format_of_its_api(alice: Caller, api: Api, case: Case) -> None:
    check(api, case.act(api, alice), case)


@both
def test_an_internal_error_has_the_format_too(alice: Caller, api: Api, settings: Any) -> None:
    settings.S3_PUBLIC_URL = 5  # no URL can be signed with it
    g, _ = put_in(alice, "succeeded")
    check(api, get(api, alice, g.pk), Case(500, "internal_error", 500, "INTERNAL_ERROR", get))


@both
def test_a_missing_sandbox_has_the_format_too(alice: Caller, api: Api, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "https://sandbox.example.com"
    tester = alice.with_key(test=True)
    settings.SANDBOX_BASE_URL = ""
    check(api, api.send(tester, RIGHT), Case(503, "no_sandbox", 503, "CREATE_TASK_FAILED", get))


@both
def test_an_unknown_method_is_answered_with_the_allowed_ones(alice: Caller, api: Api) -> None:
    """An answer of 405 without Allow is no answer (RFC 9110)."""
    for method in ("PATCH", "PUT", "TRACE", "BREW", "OPTIONS"):
        allowed = set(alice.http.generic(method, api.path)["Allow"].split(", "))
        assert allowed >= {"POST"}
        assert method not in allowed


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/docs/", "/docs.md", "/docs/quickstart", "/docs/errors/not_found.md", "/llms.txt", "/metrics"],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "BREW"])
def test_a_document_is_only_read(db: None, method: str, path: str) -> None:
    """With Django's check of forms, which would answer with a page of its own."""
    answer = Client(sends_csrf_token=False).generic(method, path)
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert answer.json()["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize(
    ("method", "path", "status", "facts"),
    [
        ("GET", "/nothing", 404, {}),
        ("GET", "/metrics", 404, {}),
        ("GET", "/docs/nothing", 404, {}),
        ("GET", "/docs", 400, {"headers": {"Host": "evil.example"}}),
        ("GET", "/openapi.json", 406, {"headers": {"Accept": "text/html"}}),
        ("PUT", "/openapi.json", 405, {}),
        ("POST", "/docs", 413, {"data": b"a" * 1_100_000}),
    ],
)
def test_outside_of_both_it_is_problem_details(
    db: None, client: Client, method: str, path: str, status: int, facts: dict[str, Any]
) -> None:
    answer = client.generic(method, path, **facts)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


ACCEPTED = [
    "application/problem+json",
    "application/problem+json; q=0.5",
    "APPLICATION/PROBLEM+JSON",
    "text/html, application/problem+json",
    "application/*",
    "application/json; charset=utf-8",
    "*/*",
    "*",
    "*;q=.2",
    "text/html, image/gif, *; q=.2",
]


@both
@pytest.mark.parametrize("accept", ACCEPTED)
def test_who_accepts_json_by_whatever_name_is_answered(alice: Caller, api: Api, accept: str) -> None:
    g, _ = put_in(alice, "queued")
    answer = get(api, alice, g.pk, Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert get(api, alice, Accept=accept).status_code == 404


@both
@pytest.mark.parametrize("accept", ["text/html", "image/png, text/*", "garbage", "/", ";", "application", "a/b;q=x"])
def test_who_accepts_no_json_is_refused_in_it(alice: Caller, api: Api, accept: str) -> None:
    answer = get(api, alice, Accept=accept)
    assert (answer.status_code, "json" in answer["Content-Type"]) == (406, True)
    assert answer.json()


@pytest.mark.parametrize(
    "accept", ["text/csv", "text/csv, application/problem+json", "application/problem+json, text/csv"]
)
def test_a_type_that_is_named_goes_before_that_of_errors(alice: Caller, accept: str) -> None:
    answer = alice.http.get("/v1/usage", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    refused = alice.http.get("/v1/usage?group_by=nothing", headers={"Accept": accept})
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")


def test_an_error_names_the_field_within_a_field(alice: Caller) -> None:
    body = OWN.send(alice, {**RIGHT, "metadata": {"a": 5, "b": "x" * 513, "c": "right"}}).json()
    assert [(one["field"], one["code"]) for one in body["errors"]] == [
        ("metadata.a", "invalid"),
        ("metadata.b", "max_length"),
    ]
    assert body["detail"].startswith("metadata.a: This must be a string. metadata.b: ")


def test_novitas_metadata_names_it_too(alice: Caller) -> None:
    body = APIS[0].send(alice, {**RIGHT, "extra": {"webhook": 5}, "duration": 7}).json()
    assert set(body["metadata"]) == {"extra", "duration", "request_id"}
