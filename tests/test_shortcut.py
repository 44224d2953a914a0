"""The short way of a look at one generation answers as the whole way does, and only where nothing is to be decided."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.utils import timezone

from generations import storage
from generations.api import lookup
from generations.errors import StorageTrouble
from seedance_service import shortcut, wsgi
from tenants import authentication
from tenants.models import ApiKey
from tests.api.hostile import Served
from tests.conftest import Caller
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


def test_a_moment_is_told_in_utc_to_the_microsecond() -> None:
    from generations.api.shown import time

    assert time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
    assert time(datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)) == "2026-01-02T03:04:05.000060Z"
