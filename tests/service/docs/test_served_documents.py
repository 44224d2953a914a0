"""The bytes of the documentation are made once in a process, and are sent as each caller takes them."""

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from seedance_service.docs import pages, reference
from seedance_service.docs.openapi import document
from tenants.api.documents import accepts_gzip
from tests.http_client import Client

pytestmark = pytest.mark.one_database
COMMITTED = Path(__file__).parents[3] / "openapi.json"
ADDRESSES = ["/openapi.json", "/llms.txt", "/docs", "/docs.md", "/docs/errors", "/docs/errors.md"]
ADDRESSES += ["/docs/errors/limit_reached", "/docs/errors/limit_reached.md"]
each = pytest.mark.parametrize("path", ADDRESSES)
MADE_ONCE = (document._schema, document._as_json, reference.text)
MADE_ONCE += (pages._html, pages._markdown, pages._swagger, pages._openapi, pages._llms)


@pytest.fixture
def _nothing_is_made() -> Iterator[None]:
    for made in MADE_ONCE:
        made.cache_clear()
    yield
    for made in MADE_ONCE:
        made.cache_clear()


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def test_the_served_document_is_the_committed_one() -> None:
    served = get("/openapi.json").content
    assert json.loads(served) == json.loads(COMMITTED.read_text())
    assert list(json.loads(served)["paths"]) == list(json.loads(COMMITTED.read_text())["paths"])
    assert b"\n" not in served, "the document is twice as long with its white space"


@pytest.mark.usefixtures("_nothing_is_made")
def test_the_document_is_made_once_whoever_asks_and_however_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """drf-spectacular keeps what it makes in its classes: two threads in it fail."""
    made: list[int] = []
    inside = threading.Lock()
    real: Any = SchemaGenerator.get_schema

    def get_schema(self: Any, *args: Any, **options: Any) -> Any:
        assert inside.acquire(blocking=False), "two threads make the document"
        try:
            made.append(1)
            return real(self, *args, **options)
        finally:
            inside.release()

    monkeypatch.setattr(SchemaGenerator, "get_schema", get_schema)
    statuses: list[int] = []
    asked = [*ADDRESSES[:1] * 4, *ADDRESSES[2:4] * 2]
    threads = [threading.Thread(target=lambda path=path: statuses.append(get(path).status_code)) for path in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * len(asked)
    assert made == [1]


@each
@pytest.mark.usefixtures("_nothing_is_made")
def test_no_page_is_made_twice(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get(path)

    def fails(*args: Any, **options: Any) -> Any:
        raise AssertionError("made again")

    for where, name in ((pages.MARKDOWN, "render"), (pages, "render_to_string"), (SchemaGenerator, "get_schema")):
        monkeypatch.setattr(where, name, fails)
    again = get(path)
    assert (again.status_code, again.content) == (200, first.content)


@each
def test_whoever_has_a_document_is_told_so(path: str) -> None:
    answer = get(path)
    for method in ("get", "head"):
        unchanged = getattr(Client(), method)(path, headers={"If-None-Match": answer["ETag"]})
        assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", answer["ETag"])
        assert unchanged["Vary"] == answer["Vary"]
        assert "Content-Length" not in unchanged
    assert get(path, **{"If-None-Match": f'W/{answer["ETag"]}, "other"'}).status_code == 304
    assert get(path, **{"If-None-Match": '"other"'}).content == answer.content
    assert answer["Cache-Control"] == "no-cache"


@each
def test_a_document_is_compressed_for_those_who_take_it(path: str) -> None:
    plain, compressed = get(path), get(path, **{"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain
    assert compressed["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content
    assert len(compressed.content) < len(plain.content)
    assert compressed["ETag"] != plain["ETag"], "two forms of the bytes never share a strong tag"
    assert "Accept-Encoding" in plain["Vary"]
    assert compressed["Vary"] == plain["Vary"]
    assert compressed["Content-Length"] == str(len(compressed.content))


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("br, gzip;q=0.5", True),
        ("gzip ; q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("notgzip", False),
        (",;=", False),
    ],
)
def test_gzip_is_sent_to_those_alone_who_accept_it(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) == is_accepted


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/vnd.oai.openapi+json"),
        ("application/json", "application/json"),
        ("text/html, application/json;q=0.9, */*;q=0.1", "application/json"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
    ],
)
def test_the_media_type_is_the_one_that_is_preferred(accept: str, kind: str) -> None:
    answer = get("/openapi.json", Accept=accept)
    assert (answer["Content-Type"], answer["Vary"]) == (kind, "Accept, Accept-Encoding")


@each
def test_a_query_changes_nothing(path: str) -> None:
    assert get(f"{path}?lang=de&version=2&format=yaml").content == get(path).content


@each
def test_no_session_and_no_cookie_is_needed(path: str, django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        answer = Client(HTTP_COOKIE="sessionid=x; __Host-sessionid=x").get(path)
    assert (answer.status_code, answer.cookies) == (200, {})
