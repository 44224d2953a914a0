"""Hostile headers, keys, lengths and queries: a clear refusal in the API's format, and nothing is stored."""

import gzip
import io
import logging
import time
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from seedance_service.logs import RedactingFormatter
from tests.support.factories import Caller
from tests.support.hostile import APIS, OWN, RIGHT, WIRE, Api, check_format, check_refused

pytestmark = pytest.mark.abuse

both = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
SMALL = msgspec.json.encode(RIGHT)


CONTENT_TYPES = [
    "",
    "*/*",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/mixed; boundary=x",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/json; charset=hex",
    "application/json; charset=undefined",
    'application/json; charset="',
    "application/json; charset*=utf-8''%00",
    "application/json; charset*=nosuch''x",
    "application/json; charset*0*; charset*=",
    "application/json; a*" + "9" * 500 + "=b",
    "application/json; a=" + "x" * 20_000,
    "\xff\xfe",
]


@both
@pytest.mark.parametrize("content_type", CONTENT_TYPES, ids=range(len(CONTENT_TYPES)))
def test_another_content_type_or_charset_is_refused(alice: Caller, api: Api, content_type: str) -> None:
    answer = api.send(alice, SMALL, content_type=content_type)
    assert "UTF-8" in check_refused(api, alice, answer, 415)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/JSON;charset=UTF-8", 'application/json; charset="utf-8"; v=1']
)
def test_json_in_utf_8_is_taken_however_it_is_called(alice: Caller, content_type: str) -> None:
    assert OWN.send(alice, SMALL, content_type=content_type).status_code == 202


@pytest.mark.parametrize("name", ["content_type", "HTTP_ACCEPT"])
def test_a_header_that_takes_quadratic_time_is_not_parsed(alice: Caller, name: str) -> None:
    started = time.process_time()
    check_format(OWN.path, OWN.send(alice, SMALL, **{name: 'a;"' + '\\";' * 100_000}))
    assert time.process_time() - started < 10  # it took two seconds for 100 kB, and sixteen times that for four


ACCEPTS = ["text/html", "application/json;q*=nosuch''x", "a;charset*0*; charset*=", "a/b," * 5000, "\xfc", '"']


@pytest.mark.parametrize("path", ["/v1/generations", "/v3/async/task-result?task_id=x", "/v1/usage"])
@pytest.mark.parametrize("accept", ACCEPTS, ids=range(len(ACCEPTS)))
def test_a_caller_that_accepts_no_json_is_refused_in_json(alice: Caller, path: str, accept: str) -> None:
    answer = alice.http.get(path, HTTP_ACCEPT=accept)
    check_format(path, answer)
    assert answer.status_code == 406


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "text/plain;charset=iso-8859-1, */*;q=0.1",
        "text/html, image/gif, *; q=.2, */*; q=.2",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ],
)
def test_the_accept_headers_of_browsers_and_old_javas_are_answered(alice: Caller, accept: str) -> None:
    assert alice.http.get("/v1/generations", HTTP_ACCEPT=accept).status_code == 200


@pytest.mark.parametrize("charset", ["hex", "undefined", "utf-16", "rot13"])
def test_a_charset_does_not_break_the_query(alice: Caller, charset: str) -> None:
    kind = f"text/plain; charset={charset}"
    assert alice.http.generic("GET", "/v1/usage?group_by=%ff%00", content_type=kind).status_code == 400
    assert alice.http.generic("GET", "/v1/limits?a=%ff", content_type=kind).status_code == 200


@both
@pytest.mark.parametrize(
    ("encoding", "content"),
    [("gzip", gzip.compress(SMALL + b" " * 10_000_000)), ("gzip", SMALL), ("br", SMALL), ("identity, x", SMALL)],
    ids=range(4),
)
def test_an_encoded_body_is_refused(alice: Caller, api: Api, encoding: str, content: bytes) -> None:
    check_refused(api, alice, api.send(alice, content, headers={"Content-Encoding": encoding}), 415)


LENGTHS = {
    "": 400,
    "abc": 400,
    "-5": 400,
    "\u0661\u0662": 400,
    str(len(SMALL) - 1): 400,
    str(len(SMALL) + 1): 400,  # the caller went away; what came is whole JSON all the same
    "1000000000000": 413,
    "9" * 30: 413,
    "9" * 5000: 400,
}


@both
@pytest.mark.parametrize(("length", "status"), LENGTHS.items(), ids=range(len(LENGTHS)))
def test_a_false_content_length_is_refused(alice: Caller, api: Api, length: str, status: int) -> None:
    check_refused(api, alice, api.send(alice, SMALL, CONTENT_LENGTH=length), status)


@both
def test_a_form_without_a_body_is_refused(alice: Caller, api: Api) -> None:
    answer = api.send(alice, b"", content_type="application/x-www-form-urlencoded", CONTENT_LENGTH="0")
    check_refused(api, alice, answer)


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/v1/usage", "/v3/async/task-result", "/docs"])
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_large_body_is_read_only_where_images_are_sent(alice: Caller, path: str, content_type: str) -> None:
    """The caller is not authenticated yet: a form would be read, and its file written to the disk, before that."""
    stream = io.BytesIO(b"a" * 2_000_000)
    facts: dict[str, Any] = {"CONTENT_LENGTH": "2000000", "wsgi.input": stream}
    assert alice.http.generic("POST", path, content_type=content_type, **facts).status_code == 413
    assert stream.tell() == 0


@both
def test_all_hostile_keys_get_the_same_answer(alice: Caller, api: Api) -> None:
    """The values are as a web server passes them on: several headers of one name are joined with commas."""
    key = alice.key_text
    headers = ["", " ", "Bearer", "Bearer \0", "Bearer \xfc\xff", "\0" * 100, "Bearer " + "x" * 1_000_000, key * 20_000]
    headers += [f"Bearer Bearer {key}", f"Bearer {key}\0", f"Bearer {key} {key}", ",".join([f"Bearer {key}"] * 20)]
    headers += [
        f"Bearer\t{key[:-1]}",
        f"Token {key}",
        f"Bearer {key[::-1]}",
        "Bearer " + ",x" * 20,
        "sds_live_" + "\xb2" * 62,
    ]
    answers = [api.send(alice, SMALL, HTTP_AUTHORIZATION=header) for header in headers]
    assert len({answer.content for answer in answers}) == 1
    check_refused(api, alice, answers[0], 403 if api is WIRE else 401)


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/v1/generations", "/docs"])
def test_a_cookie_with_a_nul_is_no_cookie(alice: Caller, path: str) -> None:
    assert alice.http.get(path, HTTP_COOKIE=r'sessionid="aaaaaaaaa\000"; csrftoken="\000"').status_code < 400


@both
def test_a_hostile_address_is_only_an_address(alice: Caller, api: Api, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    for address in ("", "\0", "\xff" * 1000, "a," * 10_000, "127.0.0.1\r\nX: 1"):
        answer = api.send(alice, SMALL, HTTP_AUTHORIZATION="x", HTTP_X_FORWARDED_FOR=address)
        check_format(api.path, answer)


VALUES = [
    "%00",
    "%ff%fe",
    "%0d%0aX-Injected:%201",
    "%F0%9F%9A%A2",
    "%ed%a0%80",
    "%",
    "9" * 5000,
    "-1",
    "1e999",
    "NaN",
    "'%20OR%201=1--",
    "%7B%22$gt%22:%22%22%7D",
    "..%2f..%2fetc%2fpasswd",
    quote("\uff11" * 32),
    "a" * 30_000,
]
QUERIES = [
    "/v3/async/task-result?task_id={}",
    "/v3/async/task-result?{}",
    "/v1/generations/{}",
    "/v1/generations?cursor={0}&limit={0}&status={0}&{0}={0}",
    "/v1/usage?from={}",
    "/v1/usage?to={}",
    "/v1/usage?group_by={0}&group_by={0}",
    "/v1/usage?format={}",
    "/v1/limits?{0}={0}",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_hostile_query_is_answered_in_json(alice: Caller, query: str) -> None:
    for value in VALUES:
        answer = alice.http.generic("GET", query.format(value))
        assert "json" in answer["Content-Type"]
        assert "X-Injected" not in answer
        if answer.status_code != 200:
            check_format(query, answer)


@pytest.mark.parametrize("path", ["/v3/async/task-result", "/v1/generations", "/v1/usage"])
def test_two_thousand_parameters_are_answered_in_json(alice: Caller, path: str) -> None:
    answer = alice.http.generic("GET", f"{path}?" + "&".join(f"a{number}=1" for number in range(2000)))
    if answer.status_code != 200:  # the list looks at none of them
        check_format(path, answer)


@both
def test_a_callers_text_gets_into_no_header_and_no_log_entry(alice: Caller, api: Api) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(RedactingFormatter("console"))
    logging.getLogger().addHandler(handler)
    try:
        text = "a\r\nX-Injected: 1\nERROR forged"
        created = api.send(alice, {**RIGHT, "prompt": text}, headers={"X-Request-Id": "1\nERROR forged"})
        refused = api.send(alice, {**RIGHT, text: text, "resolution": text})
        lost = alice.http.generic("GET", f"/v1/{quote(text)}")
    finally:
        logging.getLogger().removeHandler(handler)
    assert [answer.status_code for answer in (created, refused, lost)] == [api.accepted, 400, 404]
    assert not any(
        "Injected" in f"{name}{value}" for answer in (created, refused, lost) for name, value in answer.items()
    )
    assert "X-Injected" not in created
    assert len(out.getvalue().splitlines()) == 6  # two for what was taken, and for each refusal
    # A timestamp of ours begins each, whatever was written.
    assert all("Z" in line.split()[0] and line.split()[0][:2] != "ER" for line in out.getvalue().splitlines())
