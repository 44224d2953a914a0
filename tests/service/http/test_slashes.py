"""A slash at the end of a base URL, or of a path, makes no difference to the API."""

import json
from typing import Any

import pytest

from generations.models import Generation
from tests.http_client import Client
from tests.support.factories import Caller, make_generation

BODY = {"image": "https://images.example.com/a.png", "resolution": "480p"}
NATIVE, NOVITA = "/v1/generations", "/v3/async/seedance-v1-lite-i2v"


def call(caller: Caller, method: str, path: str, query: str = "", content: bytes = b"", **environ: str) -> Any:
    """Send a request to the path as it is: the client's own methods would take `//v1` for a host."""
    facts = {"PATH_INFO": path, "QUERY_STRING": query, **environ}
    return caller.http.generic(method, "/", content, content_type="application/json", **facts)


def written(path: str) -> list[str]:
    """Return the path as clients write it whose base URL, or whose path, ends with a slash."""
    return [f"/{path}", f"///{path}", f"{path}/", f"{path}//", path.replace("/", "//"), f"/{path}/"]


@pytest.mark.parametrize("path", [NATIVE, NOVITA])
def test_a_create_is_read_and_not_redirected(alice: Caller, path: str) -> None:
    paths = [path, *written(path)]
    content = json.dumps(BODY).encode()
    answers = [call(alice, "POST", way, content=content, HTTP_IDEMPOTENCY_KEY="k") for way in paths]
    assert {answer.status_code for answer in answers} == {200 if path == NOVITA else 202}
    assert len({answer.content for answer in answers}) == 1
    assert Generation.objects.count() == 1


def test_reads_and_actions_are_the_same(alice: Caller) -> None:
    generation = make_generation(alice)
    own = f"{NATIVE}/{generation.pk}"
    for way in written(own):
        assert call(alice, "GET", way).json()["id"] == str(generation.pk)
    for way in written("/v3/async/task-result"):
        assert call(alice, "GET", way, f"task_id={generation.pk}").status_code == 200
    for way in written(f"{own}/cancel"):
        assert call(alice, "POST", way).json()["status"] == "cancelled"


def test_a_list_has_the_same_cursor_and_link(alice: Caller) -> None:
    for _ in range(3):
        make_generation(alice)
    plain = alice.http.get(NATIVE, {"limit": 1})
    for way in written(NATIVE):
        page = call(alice, "GET", way, "limit=1")
        assert (page.content, page["Link"]) == (plain.content, plain["Link"])
        assert call(alice, "GET", way, f"limit=1&cursor={plain.json()['next_cursor']}").status_code == 200


@pytest.mark.parametrize("path", ["/v1/", "/v1//", "/v3/", "/v1/generations/a/b/", "/v2/generations/"])
def test_a_path_of_nothing_is_a_404(alice: Caller, path: str) -> None:
    assert call(alice, "GET", path).status_code == 404


def test_other_pages_keep_their_slashes(client: Client, db: Any) -> None:
    assert client.get("/livez/").status_code == 404
    assert client.get("/admin/login/").status_code == 200
