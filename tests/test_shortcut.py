"""The short way of creates and looks answers as the whole way does, and only where nothing is to be decided."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.utils import timezone

from generations import intake, meters, storage
from generations.api import lookup, shown, wire
from generations.errors import StorageTrouble
from generations.models import Generation
from seedance_service import shortcut, wsgi
from tenants import administration, authentication
from tenants.models import ApiKey, LedgerEntry
from tests.api.hostile import Served
from tests.conftest import Caller
from tests.pictures import base64_of, picture
from tests.test_lifecycle import put_in

pytestmark = pytest.mark.usefixtures("bucket")
PATHS = ["/v1/generations/{}", "/v3/async/task-result?task_id={}"]
STATES = ["queued", "submitting", "in_doubt", "running", "copying", "succeeded", "failed"]


@pytest.fixture(autouse=True)
def whole(monkeypatch: Any) -> list[str]:
    """The paths that went the whole way."""
    went: list[str] = []
    served = wsgi.served

    def noted(environ: Any, start_response: Any) -> Any:
        went.append(environ["PATH_INFO"])
        return served(environ, start_response)

    monkeypatch.setattr(wsgi, "served", noted)
    monkeypatch.setattr(authentication, "KEPT_FOR", 60.0)
    return went


def known(caller: Caller) -> Caller:
    """Its key is remembered."""
    assert caller.http.get("/v1/limits").status_code == 200
    return caller


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/plain, */*"])
@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("path", PATHS)
def test_both_ways_say_the_same(
    alice: Caller, whole: list[str], path: str, status: str, accept: str | None, monkeypatch: Any, caplog: Any
) -> None:
    generation, _ = put_in(known(alice), status)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    asked, headers = path.format(generation.pk), {"HTTP_ACCEPT": accept} if accept else {}
    caplog.clear()
    short = Served("GET", asked, alice, **headers)
    assert whole == []
    monkeypatch.setattr(shortcut, "answer", lambda environ: None)
    long = Served("GET", asked, alice, **headers)
    assert len(whole) == 1
    assert (short.status_code, short.content) == (200, long.content)
    assert short._headers == long._headers
    lines = [{**record.msg, "duration_ms": 0, "timestamp": ""} for record in caplog.records]
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert lines[0]["path"] == asked.partition("?")[0]


@pytest.mark.parametrize(
    "more",
    [
        {"HTTP_PREFER": "wait=0"},
        {"HTTP_ACCEPT": ""},
        {"HTTP_ACCEPT": "text/html"},
        {"HTTP_ACCEPT": "application/json;q=0"},
        {"HTTP_HOST": "elsewhere.example.com"},
        {"HTTP_HOST": ""},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "3"},
        {"CONTENT_LENGTH": "-1"},
        {"SCRIPT_NAME": "/below"},
        {"QUERY_STRING": "format=xml"},
        {"REQUEST_METHOD": "HEAD"},
        {"REQUEST_METHOD": "DELETE"},
        {"REQUEST_METHOD": "OPTIONS"},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_AUTHORIZATION": "Bearer x"},
        {"PATH_INFO": "/v1/generations/" + "0" * 36},
        {"PATH_INFO": "/v1/generations/" + "x" * 36},
        {"PATH_INFO": f"/v1/generations/{UUID(int=7)}"},
        {"PATH_INFO": f"/v1/generations/{UUID(int=7)}/"},
        {"PATH_INFO": "/v1/generations/"},
    ],
    ids=str,
)
def test_whatever_is_to_be_decided_goes_the_whole_way(alice: Caller, whole: list[str], more: dict[str, str]) -> None:
    generation, _ = put_in(known(alice), "succeeded")
    facts = {"PATH_INFO": f"/v1/generations/{generation.pk}", **more}
    Served("GET", facts["PATH_INFO"], alice, **facts)
    assert whole == [facts["PATH_INFO"]]


def test_who_may_not_read_it_is_refused(alice: Caller, bob: Caller, whole: list[str], settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"  # without one there are no test keys
    generation, _ = put_in(alice, "succeeded")
    asked = f"/v1/generations/{generation.pk}"
    callers = [bob, alice.with_key(test=True), alice.with_key(scopes=["generations:write"])]
    assert [Served("GET", asked, caller).status_code for caller in callers] == [404, 404, 403]
    assert [Served("GET", asked, caller).status_code for caller in callers] == [404, 404, 403]  # now they are known
    assert len(whole) == 6


def test_a_revoked_key_reads_no_longer_than_it_is_remembered(alice: Caller, monkeypatch: Any) -> None:
    generation, _ = put_in(known(alice), "succeeded")
    ApiKey.objects.filter(pk=alice.key.pk).update(revoked_at=timezone.now())
    asked = f"/v1/generations/{generation.pk}"
    assert Served("GET", asked, alice).status_code == 200
    monkeypatch.setattr(authentication, "KEPT_FOR", 0.0)
    authentication.known.forget()
    assert Served("GET", asked, alice).status_code == 401


def test_a_key_whose_use_is_to_be_noted_goes_the_whole_way(alice: Caller, whole: list[str], monkeypatch: Any) -> None:
    generation, _ = put_in(known(alice), "succeeded")
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    asked = f"/v1/generations/{generation.pk}"
    assert [Served("GET", asked, alice).status_code for _ in range(2)] == [200, 200]
    assert len(whole) == 1
    alice.key.refresh_from_db()
    assert alice.key.last_used_at == later


@pytest.mark.parametrize("error", [OperationalError("the server closed the connection"), StorageTrouble("no keys")])
def test_trouble_on_it_is_met_again_on_the_whole_way(
    alice: Caller, whole: list[str], monkeypatch: Any, error: Exception
) -> None:
    generation, _ = put_in(known(alice), "succeeded")

    def fails(*args: Any, **facts: Any) -> Any:
        raise error

    where = (lookup, "_own") if isinstance(error, OperationalError) else (storage, "signed_url")
    monkeypatch.setattr(*where, fails)
    answer = Served("GET", f"/v1/generations/{generation.pk}", alice)
    assert (answer.status_code, len(whole)) == (503, 1)
    assert answer["Content-Type"] == "application/problem+json"


def test_an_id_of_the_callers_is_told_again_and_a_bad_one_is_not(alice: Caller) -> None:
    generation, _ = put_in(known(alice), "running")
    asked = f"/v1/generations/{generation.pk}"
    assert Served("GET", asked, alice, HTTP_X_REQUEST_ID="mine-1")["X-Request-Id"] == "mine-1"
    assert Served("GET", asked, alice, HTTP_X_REQUEST_ID="a b")["X-Request-Id"].startswith("req_")


def test_traces_tell_the_route_so_all_go_the_whole_way(alice: Caller, whole: list[str], settings: Any) -> None:
    generation, _ = put_in(known(alice), "running")
    settings.TRACES = True
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/v1/generations/{generation.pk}"}
    assert shortcut.answer(environ) is None


# -- creates --------------------------------------------------------------------------------------------------------

CREATES = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]
URL = {"image": "https://example.com/a.png", "resolution": "480p", "seed": 7}
PICTURE = {**URL, "image": base64_of(picture())}
OWN = ("id", "task_id", "created_at", "eta")  # what no two creates have alike


def create(caller: Caller, path: str, body: Any = URL, **environ: Any) -> Served:
    return Served("POST", path, caller, body if isinstance(body, bytes) else json.dumps(body).encode(), **environ)


def told(answer: Served) -> tuple[int, dict[str, Any], dict[str, str]]:
    """But for what is each create's own."""
    its = ("location", "content-length", "idempotent-replayed")
    headers = {name: re.sub(r";r=\d+", "", value) for name, value in answer._headers.items() if name not in its}
    return answer.status_code, {k: v for k, v in answer.json().items() if k not in OWN}, headers


@pytest.fixture
def both(alice: Caller, whole: list[str], monkeypatch: Any) -> Any:
    """Asks for the same on the short way, then on the whole one, at one moment, and compares what is told."""

    def ask(path: str, body: Any = URL, **environ: Any) -> Served:
        known(alice)
        whole.clear()
        now = timezone.now()
        with monkeypatch.context() as changed:
            changed.setattr(timezone, "now", lambda: now)
            short = create(alice, path, body, **environ)
            went = len(whole)
            changed.setattr(shortcut, "answer", lambda environ: None)
            long = create(alice, path, body, **environ)
        assert told(short) == told(long)
        assert (went, len(whole)) == (0, 1)
        return short

    return ask


@pytest.mark.parametrize("body", [URL, PICTURE, {**URL, "seed": None, "prompt": "ä", "last_image": URL["image"]}])
@pytest.mark.parametrize("path", CREATES)
def test_both_ways_make_the_same(alice: Caller, both: Any, path: str, body: dict[str, Any], caplog: Any) -> None:
    alice.limit(per_day=100)
    body = {**body, "seed": 7}
    both(path, body)
    first, second = Generation.objects.order_by("created_at", "pk")
    but = {"id", "image_id", "first_eta"}
    rows = [{k: v for k, v in row.__dict__.items() if k not in but and k != "_state"} for row in (first, second)]
    rows = [{k: v for k, v in row.items() if k not in ("created_at", "due_at")} for row in rows]
    assert rows[0] == rows[1]
    assert first.image_id == second.image_id
    assert LedgerEntry.objects.filter(kind="hold").count() == 2
    lines = [
        {name: value for name, value in record.msg.items() if name not in ("duration_ms", "timestamp")}
        for record in caplog.records
        if record.msg.get("path") in CREATES
    ]
    assert len(lines) == 2
    assert lines[0] == lines[1]


@pytest.mark.parametrize("path", CREATES)
def test_a_create_again_with_its_key_is_told_the_same_by_both(both: Any, path: str) -> None:
    first = both(path, HTTP_IDEMPOTENCY_KEY="order-1")
    assert "idempotent-replayed" not in first._headers
    again = both(path, HTTP_IDEMPOTENCY_KEY="order-1")
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert Generation.objects.count() == 1


@pytest.mark.parametrize("path", CREATES)
def test_where_it_is_found_is_told(alice: Caller, whole: list[str], path: str) -> None:
    answer = create(known(alice), path)
    made = Generation.objects.get()
    assert whole == []
    if path == CREATES[0]:
        assert answer["Location"] == f"/v1/generations/{made.pk}"
    assert str(made.pk) in answer.json().values()


@pytest.mark.parametrize(
    ("more", "made"),
    [
        ({"HTTP_PREFER": "wait=0"}, 1),
        ({"HTTP_CONTENT_ENCODING": "identity"}, 1),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, 0),
        ({"CONTENT_TYPE": "application/json; charset=latin-1"}, 0),
        ({"CONTENT_TYPE": "text/plain"}, 0),
        ({"CONTENT_LENGTH": ""}, 0),
        ({"CONTENT_LENGTH": "x"}, 0),
        ({"CONTENT_LENGTH": "9" * 9}, 0),
        ({"CONTENT_LENGTH": "2000"}, 0),
        ({"HTTP_ACCEPT": "text/html"}, 0),
        ({"SCRIPT_NAME": "/below"}, 1),
        ({"QUERY_STRING": "a=b"}, 1),
        ({"REQUEST_METHOD": "PUT"}, 0),
        ({"PATH_INFO": "/v1/generations/"}, 0),
        ({"HTTP_AUTHORIZATION": "Bearer x"}, 0),
        ({"HTTP_IDEMPOTENCY_KEY": ""}, 0),
        ({"HTTP_HOST": "elsewhere.example.com"}, 0),
    ],
    ids=str,
)
def test_a_create_in_which_something_is_to_be_decided_goes_the_whole_way(
    alice: Caller, whole: list[str], more: dict[str, str], made: int
) -> None:
    create(known(alice), CREATES[0], **more)
    assert len(whole) == 1
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
def test_what_is_wrong_with_a_body_is_told_the_whole_way(alice: Caller, whole: list[str], path: str, body: Any) -> None:
    answer = create(known(alice), path, body)
    assert (answer.status_code, len(whole)) == (400, 1)
    assert Generation.objects.count() == 0
    assert answer["X-Request-Id"] == "tests"


@pytest.mark.parametrize("path", CREATES)
def test_who_may_not_create_is_refused(alice: Caller, whole: list[str], path: str) -> None:
    reader = alice.with_key(scopes=["generations:read"])
    assert [create(reader, path).status_code for _ in range(2)] == [403, 403]
    assert len(whole) == 2


@pytest.mark.parametrize(("path", "status"), [(CREATES[0], 402), (CREATES[1], 400)])
def test_a_refusal_is_told_the_whole_way_and_counted_once(
    alice: Caller, whole: list[str], path: str, status: int, monkeypatch: Any
) -> None:
    alice.limit(usd_per_month_micro=1)
    authentication.known.forget()
    tried, accept = list[Any](), intake.accept
    monkeypatch.setattr(intake, "accept", lambda *args: tried.append(args) or accept(*args))
    counted = meters.REFUSED.labels("usd_per_month")._value.get()
    answer = create(known(alice), path)
    assert (answer.status_code, len(whole), len(tried)) == (status, 1, 1)
    assert meters.REFUSED.labels("usd_per_month")._value.get() == counted + 1
    assert "usd_per_month" in answer["RateLimit"]


def test_one_of_a_suspended_tenant_is_refused_though_its_key_is_remembered(alice: Caller, whole: list[str]) -> None:
    known(alice)
    administration.suspend(administration.Act(by="t"), alice.tenant)
    answer = create(alice, CREATES[0])
    assert (answer.status_code, answer.json()["code"], len(whole)) == (403, "tenant_suspended", 1)


@pytest.mark.parametrize("path", CREATES)
@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("the server closed the connection"), 503), (RuntimeError("a bug"), 500)]
)
def test_one_that_may_be_committed_is_not_tried_again(
    alice: Caller, whole: list[str], monkeypatch: Any, path: str, error: Exception, status: int
) -> None:
    accept = intake.accept

    def cut(*args: Any) -> Any:
        accept(*args)
        raise error

    monkeypatch.setattr(intake, "accept", cut)
    answer = create(known(alice), path, HTTP_X_REQUEST_ID="")
    assert (answer.status_code, len(whole)) == (status, 1)
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1
    assert answer["X-Request-Id"].startswith("req_")


def test_a_bug_before_it_is_tried_is_told_the_whole_way(alice: Caller, monkeypatch: Any, caplog: Any) -> None:
    known(alice)

    def fails(content: bytes) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(wire, "parsed", fails)
    answer = create(alice, CREATES[0])
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert "a bug" in caplog.text
    assert Generation.objects.count() == 0


def test_one_whose_answer_can_not_be_made_is_not_tried_again(
    alice: Caller, whole: list[str], monkeypatch: Any, caplog: Any
) -> None:
    known(alice)

    def fails(generation: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(shown, "first", fails)
    caplog.clear()
    answer = create(alice, CREATES[0], HTTP_X_REQUEST_ID="")
    assert (answer.status_code, Generation.objects.count()) == (500, 1)
    ids = {record.msg["request_id"] for record in caplog.records if isinstance(record.msg, dict)}
    assert ids == {answer["X-Request-Id"]}  # what was logged of it on both ways is found by one
