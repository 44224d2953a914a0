"""A request's id: the caller's or one of ours, in every answer, every error and every line of the log."""

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from seedance_service import request_id
from seedance_service.http.middleware import MAX_LOGGED_PATH_CHARS, RequestContext
from seedance_service.logs import RedactingFormatter
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client, with_key
from tests.support.factories import Caller

pytestmark = pytest.mark.one_database
OURS = re.compile(r"req_[0-9a-f]{32}")


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the service's handler would write, of every logger."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(RedactingFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def answered(view: Callable[[HttpRequest], HttpResponse], **headers: str) -> Any:
    return RequestContext(view)(RequestFactory().get("/", headers=headers))


def test_one_is_made_for_each_request() -> None:
    answers = [answered(lambda request: HttpResponse())["X-Request-Id"] for _ in range(2)]
    assert all(OURS.fullmatch(one) for one in answers)
    assert answers[0] != answers[1]


@pytest.mark.parametrize(
    "given", ["1", "order-4711", "a/b:c+d=e@f_g.h", "x" * 128, "7f3b1c2a-0d4e-4f5a-8b6c-7d8e9f0a1b2c"]
)
def test_a_callers_own_is_kept(given: str) -> None:
    assert answered(lambda request: HttpResponse(request_id.current()), **{"X-Request-Id": given}).content == (
        given.encode()
    )


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a\nX: 1", "a\r", "é", "x" * 129, '"', "a,b", "<script>", "\0", "a\n"]
)
def test_what_is_not_sane_is_replaced(given: str) -> None:
    assert OURS.fullmatch(answered(lambda request: HttpResponse(), **{"X-Request-Id": given})["X-Request-Id"])


def test_it_is_over_with_its_request_whatever_comes_of_it() -> None:
    def broken(request: HttpRequest) -> HttpResponse:
        assert request_id.current() == "mine"
        raise RuntimeError

    assert request_id.current() == ""
    with pytest.raises(RuntimeError):
        answered(broken, **{"X-Request-Id": "mine"})
    assert request_id.current() == ""


def test_threads_do_not_see_each_others() -> None:
    both_inside, seen = threading.Barrier(2, timeout=60), dict[str, str]()

    def view(request: HttpRequest) -> HttpResponse:
        both_inside.wait()
        seen[request.headers["X-Request-Id"]] = request_id.current()
        both_inside.wait()
        return HttpResponse()

    threads = [threading.Thread(target=answered, args=(view,), kwargs={"X-Request-Id": one}) for one in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 302),
        ("/docs", 200),
        ("/docs/errors.md", 200),
        ("/openapi.json", 200),
        ("/metrics", 404),
        ("/nothing", 404),
        ("/v1/generations", 401),
        ("/v3/async/task-result", 403),
        ("/v3/nothing", 404),
        ("/admin/", 302),
        ("/admin/login/", 200),
    ],
)
def test_every_answer_has_it(db: None, client: Client, path: str, status: int) -> None:
    answer = client.get(path, headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer["X-Request-Id"]) == (status, "mine")
    assert OURS.fullmatch(client.get(path, headers={"X-Request-Id": "not sane"})["X-Request-Id"])


@pytest.mark.parametrize("path", ["/v1/generations", "/v3/async/task-result", "/admin/login/", "/docs"])
def test_a_host_that_is_not_ours_has_it_too(db: None, client: Client, path: str) -> None:
    answer = client.get(path, headers={"Host": "evil.example", "X-Request-Id": "mine"})
    assert (answer.status_code, answer["X-Request-Id"]) == (400, "mine")


def test_so_has_a_body_that_is_refused_unread(db: None, client: Client) -> None:
    answer = client.post("/docs", b"a" * 1_100_000, content_type="text/plain", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer["X-Request-Id"], answer.json()["request_id"]) == (413, "mine", "mine")


def test_an_error_has_it_in_its_body(alice: Caller) -> None:
    own, wire = (with_key("x").get(path) for path in ("/v1/generations", "/v3/async/task-result"))
    assert own.json()["request_id"] == own["X-Request-Id"]
    assert wire.json()["metadata"] == {"request_id": wire["X-Request-Id"]}


def test_a_failure_of_ours_is_found_in_the_log_by_it(alice: Caller, settings: Any, lines: Lines) -> None:
    settings.SIGNED_URL_TTL = "not a number"
    g, _ = put_in(alice, "succeeded")
    answer = alice.http.get(f"/v1/generations/{g.pk}", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "mine")
    [entry] = [line for line in lines() if line["level"] == "error"]
    assert entry["logger"] == "django.request"
    assert entry["event"].startswith("Internal Server Error")
    assert entry["request_id"] == "mine"
    assert entry["exception"].startswith("Traceback")


def test_every_line_of_a_request_has_it_and_no_other(alice: Caller, lines: Lines) -> None:
    logging.getLogger("tests").info("before")
    alice.http.get("/v1/nothing", headers={"X-Request-Id": "mine"})
    logging.getLogger("tests").info("after")
    assert [line.get("request_id") for line in lines()] == [None, *["mine"] * (len(lines()) - 2), None]
    assert len(lines()) >= 3


def entries_of_calls(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "seedance_service.http.middleware"]


def test_the_api_has_one_line_for_each_request(alice: Caller, lines: Lines) -> None:
    alice.http.get("/v1/generations?external_id=nobodys-business", headers={"X-Request-Id": "mine"})
    with_key("x").post("/v3/async/seedance-v1-lite-i2v", headers={"X-Request-Id": "other"})
    own, wire = entries_of_calls(lines())
    took, also_took = own.pop("duration_ms"), wire.pop("duration_ms")
    assert 0 <= took < 60_000
    assert 0 <= also_took < 60_000
    for line in (own, wire):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
        assert (line.pop("level"), line.pop("event"), line.pop("logger")) == (
            "info",
            "request",
            "seedance_service.http.middleware",
        )
    who = {"tenant": alice.tenant.pk, "key": alice.key.prefix}
    assert own == {"action": "GET", "path": "/v1/generations", "status": 200, "request_id": "mine", **who}
    assert wire == {
        "action": "POST",
        "path": "/v3/async/seedance-v1-lite-i2v",
        "status": 403,
        "request_id": "other",
    }
    assert "nobodys-business" not in str(lines())
    assert alice.key_text not in str(lines())


def test_the_documents_have_none(db: None, client: Client, lines: Lines) -> None:
    for path in ("/docs/quickstart", "/llms.txt", "/admin/login/"):
        client.get(path)
    assert entries_of_calls(lines()) == []


def test_a_hostile_path_is_one_short_line(alice: Caller, lines: Lines) -> None:
    alice.http.get("/v1/a%0d%0aERROR%20forged" + "x" * 10_000)
    [line] = entries_of_calls(lines())
    assert line["path"].startswith("/v1/a\r\nERROR forged")
    assert len(line["path"]) == MAX_LOGGED_PATH_CHARS
    assert {line["level"] for line in lines()} == {"info", "warning"}


def test_a_key_that_is_sent_as_an_id_is_not_logged(alice: Caller, lines: Lines) -> None:
    alice.http.get("/v1/generations", headers={"X-Request-Id": alice.key_text})
    assert alice.key_text not in str(lines())


def test_the_panel_has_a_line_for_whoever_looks_and_none_for_a_page_that_reads_itself_again(
    admin_client: Client, alice: Caller, lines: Lines
) -> None:
    g, _ = put_in(alice, "failed")
    page = f"/admin/generations/generation/{g.pk}/change/"
    admin_client.get(page)
    admin_client.get("/admin/", headers={"X-Refresh": "1"})
    [line] = entries_of_calls(lines())
    assert (line["event"], line["user"], line["path"], line["status"]) == ("panel", "admin", page, 200)
