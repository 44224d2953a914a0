"""Every call of the API takes one path: its first and its thousandth request, its success and its error are alike."""

import io
import json
import time
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.utils import timezone
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from generations.api import json_codec, render, tenant_scope
from generations.bucket import signed_urls
from generations.bucket.errors import StorageError
from generations.intake.create import create_generation
from generations.models import Generation
from generations.telemetry import metrics
from seedance_service import wsgi
from seedance_service.http import dispatch, headers_guard
from seedance_service.http.api_handler import ApiRequest
from seedance_service.http.request_body import RequestBody
from tenants import actions
from tenants.api.base import ApiView, respond
from tenants.models import LedgerEntry
from tests.generations.test_lifecycle import put_in
from tests.support.factories import ACTOR, Caller
from tests.support.images import base64_of, image_bytes

pytestmark = pytest.mark.usefixtures("bucket")

READS = ["/v1/generations/{}", "/v3/async/task-result?task_id={}"]
CREATE_GENERATION = "generations.intake.create.create_generation"
CREATES = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]
STATES = ["queued", "submitting", "in_doubt", "running", "copying", "succeeded", "failed"]
URL = {"image": "https://example.com/a.png", "resolution": "480p", "seed": 7}
FIXED = {
    "Cache-Control": "private, no-store",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Request-Id": "tests",
}


def create(caller: Caller, path: str, body: Any = URL, **environ: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.http.generic("POST", path, content, **{"content_type": "application/json", **environ})


def call_lines(caplog: Any) -> list[dict[str, Any]]:
    """Return the log's lines of calls, without what no two of them have alike."""
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [{**line, "duration_ms": 0, "timestamp": ""} for line in lines if line["event"] == "request"]


# -- reads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain, */*"])
@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("path", READS)
def test_a_read_is_answered_alike_whether_its_key_is_known_or_not(
    alice: Caller, path: str, status: str, accept: str, caplog: Any
) -> None:
    generation, _ = put_in(alice, status)
    asked = path.format(generation.pk)
    with time_machine.travel(timezone.now(), tick=False):
        first, second = (alice.http.get(asked, HTTP_ACCEPT=accept) for _ in range(2))
    assert (first.status_code, first.content) == (200, second.content)
    assert dict(first.headers) == dict(second.headers)
    allow = "GET, HEAD, DELETE" if path == READS[0] else "GET, HEAD"
    its_own = {"Content-Type": "application/json", "Allow": allow, "Content-Length": str(len(first.content))}
    wait = {} if generation.finished_at or "Retry-After" not in first else {"Retry-After": first["Retry-After"]}
    assert dict(first.headers) == {**FIXED, **its_own, **wait}
    assert bool(wait) == (status not in ("succeeded", "failed"))
    one, other = call_lines(caplog)
    assert one == other
    who = {"tenant": alice.tenant.pk, "key": alice.key.prefix}
    facts = {"action": "GET", "path": asked.partition("?")[0], "status": 200, "request_id": "tests", **who}
    assert facts.items() <= one.items()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"HTTP_PREFER": "wait=0"}, 200),
        ({"HTTP_ACCEPT": ""}, 406),
        ({"HTTP_ACCEPT": "text/html"}, 406),
        ({"HTTP_HOST": "elsewhere.example.com"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"CONTENT_LENGTH": "3"}, 200),
        ({"CONTENT_LENGTH": "-1"}, 200),
        ({"CONTENT_LENGTH": "2000000"}, 413),
        ({"SCRIPT_NAME": "/below"}, 200),
        ({"QUERY_STRING": "format=xml"}, 200),
        ({"REQUEST_METHOD": "HEAD"}, 200),
        ({"REQUEST_METHOD": "DELETE"}, 409),
        ({"REQUEST_METHOD": "OPTIONS"}, 405),
        ({"REQUEST_METHOD": "PUT"}, 405),
        ({"HTTP_AUTHORIZATION": ""}, 401),
        ({"HTTP_AUTHORIZATION": "Bearer x"}, 401),
        ({"PATH_INFO": "/v1/generations/" + "x" * 36}, 404),
        ({"PATH_INFO": f"/v1/generations/{UUID(int=7)}"}, 404),
        ({"PATH_INFO": f"/v1/generations/{UUID(int=7)}/"}, 404),
        ({"PATH_INFO": "/v1/generations/"}, 200),
        ({"PATH_INFO": "//v1//generations"}, 200),
        ({"PATH_INFO": "/v1/"}, 404),
    ],
    ids=str,
)
def test_every_answer_has_the_fixed_headers_and_one_line(
    alice: Caller, more: dict[str, str], status: int, caplog: Any
) -> None:
    generation, _ = put_in(alice, "running")
    facts = {"PATH_INFO": f"/v1/generations/{generation.pk}", "REQUEST_METHOD": "GET", **more}
    caplog.clear()
    answer = alice.http.generic(facts["REQUEST_METHOD"], facts["PATH_INFO"], **facts)
    assert answer.status_code == status
    fixed = {name: value for name, value in FIXED.items() if name != "Cache-Control"}  # an error of no view has none
    assert fixed.items() <= dict(answer.headers).items()
    assert "Content-Length" in answer
    [line] = call_lines(caplog)
    assert (line["status"], line["action"]) == (status, facts["REQUEST_METHOD"])


def test_whoever_may_not_read_it_is_refused(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"  # without one there are no test keys
    generation, _ = put_in(alice, "succeeded")
    asked = f"/v1/generations/{generation.pk}"
    callers = [bob, alice.with_key(test=True), alice.with_key(scopes=["generations:write"])]
    for _ in range(2):  # their keys are known the second time
        assert [caller.http.get(asked).status_code for caller in callers] == [404, 404, 403]


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("the server closed the connection"), 503),
        (StorageError("no keys"), 503),
        (RuntimeError, 500),
    ],
)
def test_trouble_in_a_read_is_answered_in_the_callers_format(
    alice: Caller, monkeypatch: Any, path: str, error: Any, status: int, caplog: Any
) -> None:
    generation, _ = put_in(alice, "succeeded")

    def fails(*args: Any, **facts: Any) -> Any:
        raise error

    where = (signed_urls, "signer") if isinstance(error, StorageError) else (tenant_scope, "_select_own")
    monkeypatch.setattr(*where, fails)
    answer = alice.http.get(path.format(generation.pk))
    if path == READS[0]:
        assert (answer["Content-Type"], answer.json()["status"]) == ("application/problem+json", status)
    else:
        assert (answer["Content-Type"], answer.json()["code"]) == ("application/json", status)
    assert answer.status_code == status
    [line] = call_lines(caplog)
    assert (line["status"], line["key"]) == (status, alice.key.prefix)


def test_a_callers_request_id_is_repeated_and_a_bad_one_is_not(alice: Caller) -> None:
    generation, _ = put_in(alice, "running")
    asked = f"/v1/generations/{generation.pk}"
    assert alice.http.get(asked, HTTP_X_REQUEST_ID="mine-1")["X-Request-Id"] == "mine-1"
    assert alice.http.get(asked, HTTP_X_REQUEST_ID="a b")["X-Request-Id"].startswith("req_")


# -- creates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [URL, {**URL, "image": base64_of(image_bytes())}, {**URL, "prompt": "ä", "last_image": URL["image"]}]
)
@pytest.mark.parametrize("path", CREATES)
def test_two_creates_are_answered_recorded_and_logged_alike(
    alice: Caller, path: str, body: dict[str, Any], caplog: Any
) -> None:
    alice.limit(per_day=100)
    with time_machine.travel(timezone.now(), tick=False):
        first, second = (create(alice, path, body) for _ in range(2))
    own = ("id", "task_id")
    bodies = [{name: value for name, value in answer.json().items() if name not in own} for answer in (first, second)]
    assert bodies[0] == bodies[1]
    both = [dict(answer.headers) for answer in (first, second)]
    for headers, left in zip(both, (99, 98), strict=True):
        assert FIXED.items() <= headers.items()
        assert headers.pop("RateLimit").startswith(f'"per_day";r={left}')
        assert ("Location" in headers) == (path == CREATES[0])
        headers.pop("Location", None)
    assert both[0] == both[1]
    rows = list(Generation.objects.all())
    ids = {answer.json().get("id") or answer.json()["task_id"] for answer in (first, second)}
    assert {str(row.pk) for row in rows} == ids
    assert len({(row.prompt, row.seed, row.image_id, row.image_url, row.price_micro) for row in rows}) == 1
    assert LedgerEntry.objects.filter(kind="hold").count() == 2
    one, other = call_lines(caplog)
    assert one == other


@pytest.mark.parametrize("path", CREATES)
def test_a_create_again_with_its_key_is_answered_the_same(alice: Caller, path: str) -> None:
    first, again = (create(alice, path, HTTP_IDEMPOTENCY_KEY="order-1") for _ in range(2))
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert Generation.objects.count() == 1


@pytest.mark.parametrize(
    ("more", "status", "made"),
    [
        ({"HTTP_PREFER": "wait=0"}, 202, 1),
        ({"HTTP_CONTENT_ENCODING": "identity"}, 202, 1),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, 415, 0),
        ({"content_type": "application/json; charset=latin-1"}, 415, 0),
        ({"content_type": "text/plain"}, 415, 0),
        ({"CONTENT_LENGTH": ""}, 400, 0),
        ({"CONTENT_LENGTH": "x"}, 400, 0),
        ({"CONTENT_LENGTH": "9" * 9}, 413, 0),
        ({"CONTENT_LENGTH": "2000"}, 400, 0),
        ({"HTTP_ACCEPT": "text/html"}, 406, 0),
        ({"SCRIPT_NAME": "/below"}, 202, 1),
        ({"QUERY_STRING": "a=b"}, 202, 1),
        ({"REQUEST_METHOD": "PUT"}, 405, 0),
        ({"PATH_INFO": "/v1/generations/"}, 202, 1),
        ({"HTTP_AUTHORIZATION": "Bearer x"}, 401, 0),
        ({"HTTP_IDEMPOTENCY_KEY": ""}, 400, 0),
        ({"HTTP_HOST": "elsewhere.example.com"}, 400, 0),
    ],
    ids=str,
)
def test_what_a_create_is_sent_with_decides_what_comes_of_it(
    alice: Caller, more: dict[str, str], status: int, made: int
) -> None:
    assert create(alice, CREATES[0], **more).status_code == status
    assert Generation.objects.count() == made


@pytest.mark.parametrize("path", CREATES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"image": 1}',
        b'{"a": 1, "a": 2}',
        b"\xff",
        {**URL, "resolution": "8k"},
        {**URL, "image": "x"},
    ],
    ids=repr,
)
def test_a_wrong_body_makes_nothing(alice: Caller, path: str, body: Any) -> None:
    answer = create(alice, path, body)
    assert (answer.status_code, answer["X-Request-Id"]) == (400, "tests")
    assert Generation.objects.count() == 0


@pytest.mark.parametrize("path", CREATES)
def test_whoever_may_not_create_is_refused(alice: Caller, path: str) -> None:
    reader = alice.with_key(scopes=["generations:read"])
    assert [create(reader, path).status_code for _ in range(2)] == [403, 403]


@pytest.mark.parametrize(("path", "status"), [(CREATES[0], 402), (CREATES[1], 400)])
def test_a_refusal_is_tried_and_counted_once(alice: Caller, path: str, status: int, monkeypatch: Any) -> None:
    alice.limit(usd_per_month_micro=1)
    tried = list[Any]()
    monkeypatch.setattr(CREATE_GENERATION, lambda *args: tried.append(args) or create_generation(*args))
    counted = metrics.REFUSED.labels("usd_per_month")._value.get()
    answer = create(alice, path)
    assert (answer.status_code, len(tried)) == (status, 1)
    assert metrics.REFUSED.labels("usd_per_month")._value.get() == counted + 1
    assert "usd_per_month" in answer["RateLimit"]


def test_one_of_a_suspended_tenant_is_refused(alice: Caller) -> None:
    assert alice.http.get("/v1/limits").status_code == 200
    actions.suspend(ACTOR, alice.tenant)
    answer = create(alice, CREATES[0])
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")


@pytest.mark.parametrize("path", CREATES)
@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("the server closed the connection"), 503), (RuntimeError("a bug"), 500)]
)
def test_one_that_may_be_committed_is_not_tried_again(
    alice: Caller, monkeypatch: Any, path: str, error: Exception, status: int
) -> None:
    def cut(*args: Any) -> Any:
        create_generation(*args)
        raise error

    monkeypatch.setattr(CREATE_GENERATION, cut)
    answer = create(alice, path, HTTP_X_REQUEST_ID="")
    assert answer.status_code == status
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1
    assert answer["X-Request-Id"].startswith("req_")


def test_a_bug_before_it_is_tried_is_a_500(alice: Caller, monkeypatch: Any, caplog: Any) -> None:
    def fails(*args: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(json_codec, "_decode", fails)
    answer = create(alice, CREATES[0])
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert "a bug" in caplog.text
    assert Generation.objects.count() == 0


def test_one_whose_answer_can_not_be_made_is_found_in_the_log_by_its_id(
    alice: Caller, monkeypatch: Any, caplog: Any
) -> None:
    def fails(generation: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(render, "as_created", fails)
    caplog.clear()
    answer = create(alice, CREATES[0], HTTP_X_REQUEST_ID="")
    assert (answer.status_code, Generation.objects.count()) == (500, 1)
    ids = {record.msg["request_id"] for record in caplog.records if isinstance(record.msg, dict)}
    assert ids == {answer["X-Request-Id"]}


# -- the path itself ------------------------------------------------------------------------------------------------


class NoCaller(BasePermission):
    message = "No caller may read this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class Full(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 2.5


class Open(ApiView):
    def get(self, request: Request) -> HttpResponse:
        return respond({"tenant": request.user.name})


class ForCallers(Open):
    permission_classes = [IsAuthenticated]  # REST framework's own


class Forbidden(Open):
    permission_classes = [NoCaller]


class Throttled(Open):
    throttle_classes = [Full]


class NovitaForbidden(Forbidden):
    error_format = "novita"


class NovitaThrottled(Throttled):
    error_format = "novita"


urlpatterns = [
    path("v1/open", Open.as_view()),
    path("v1/for-callers", ForCallers.as_view()),
    path("v1/forbidden", Forbidden.as_view()),
    path("v1/throttled", Throttled.as_view()),
    path("v3/forbidden", NovitaForbidden.as_view()),
    path("v3/throttled", NovitaThrottled.as_view()),
]


@pytest.fixture
def own_urls(monkeypatch: Any) -> None:
    monkeypatch.setattr(ApiRequest, "urlconf", __name__)


@pytest.mark.usefixtures("own_urls")
def test_a_views_permissions_and_throttles_take_effect_in_the_callers_format(alice: Caller) -> None:
    assert alice.http.get("/v1/open").json() == {"tenant": "alice"}
    assert alice.http.get("/v1/for-callers").json() == {"tenant": "alice"}
    forbidden, throttled = alice.http.get("/v1/forbidden"), alice.http.get("/v1/throttled")
    assert (forbidden.status_code, forbidden["Content-Type"]) == (403, "application/problem+json")
    assert (forbidden.json()["code"], forbidden.json()["detail"]) == ("permission_denied", "No caller may read this.")
    assert (throttled.status_code, throttled["Content-Type"]) == (429, "application/problem+json")
    assert (throttled.json()["code"], throttled["Retry-After"]) == ("throttled", "3")
    forbidden, throttled = alice.http.get("/v3/forbidden"), alice.http.get("/v3/throttled")
    assert (forbidden.status_code, forbidden.json()["reason"]) == (403, "API_NOT_ALLOWED")
    assert (throttled.status_code, throttled.json()["reason"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert throttled["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("prefix", "handler"), [("/v1/limits", "api_handler"), ("/v3/x", "api_handler"), ("/v1", "site_handler")]
)
def test_the_path_alone_says_whose_request_it_is(monkeypatch: Any, prefix: str, handler: str) -> None:
    seen: list[str] = []
    for name in ("api_handler", "site_handler"):
        monkeypatch.setattr(dispatch, name, lambda environ, start, name=name: seen.append(name) or [])
    assert list(wsgi.application({"PATH_INFO": prefix, "wsgi.input": io.BytesIO()}, None)) == []
    assert seen == [handler]


def test_a_body_is_released_once_its_request_is_answered(db: None) -> None:
    environ = {**RequestFactory().get("/v1/nothing").environ, "wsgi.input": io.BytesIO(b"x" * 100)}
    list(wsgi.application(environ, lambda status, headers: None))
    assert isinstance(environ["wsgi.input"], RequestBody)
    assert environ["wsgi.input"].read() == b""


@pytest.mark.django_db(transaction=True)
def test_a_connection_past_its_age_is_closed_by_the_next_request() -> None:
    environ = RequestFactory().get("/v1/nothing").environ
    for close_at, stays_open in ((time.monotonic() + 60, True), (time.monotonic() - 1, False)):
        connection.ensure_connection()
        connection.close_at = close_at
        list(wsgi.application({**environ}, lambda status, headers: None))
        assert (connection.connection is not None) == stays_open


def test_a_large_body_is_refused_before_its_key_is_looked_at(alice: Caller) -> None:
    facts = {"CONTENT_LENGTH": "2000000", "HTTP_AUTHORIZATION": "Bearer x"}
    assert alice.http.post("/v1/webhook-endpoints", **facts).status_code == 413


@pytest.mark.parametrize(
    ("name", "value", "is_readable"),
    [
        ("CONTENT_TYPE", 'application/json; charset="utf-8"', True),
        ("CONTENT_TYPE", "application/json; charset=hex", False),
        ("CONTENT_TYPE", "application/json; a*=x", False),
        ("HTTP_ACCEPT", "application/json;q=0.5, */*", True),
        ("HTTP_ACCEPT", "a;charset*=x", False),
        ("HTTP_ACCEPT", "a/b," * 300, False),
    ],
)
def test_a_header_that_can_not_be_parsed_safely_is_emptied(name: str, value: str, is_readable: bool) -> None:
    for _ in range(2):
        environ = {name: value}
        headers_guard.clear_unreadable(environ)
        assert environ == {name: value if is_readable else ""}
