"""Requests for documents are answered one at a time with a pause after each, and delay no other request."""

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse

from seedance_service.http import dispatch, document_turns
from tests.support.patching import patch_library

WAIT_SECONDS = 30.0


class Handler:
    """Answer a request when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> HttpResponse:
        self.begun.release()
        assert self.go.wait(WAIT_SECONDS)
        return HttpResponse(b"page")


def ask(path: str) -> threading.Thread:
    environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
    thread = threading.Thread(target=dispatch.application, args=(environ, lambda *_: None))
    thread.start()
    return thread


@pytest.fixture
def handler(monkeypatch: Any) -> Iterator[Handler]:
    handler = Handler()
    monkeypatch.setattr(dispatch, "api_handler", handler)
    monkeypatch.setattr(document_turns, "MAX_WAIT_SECONDS", WAIT_SECONDS)
    yield handler
    handler.go.set()


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/llms.txt", "/v1/models", "/docs/errors"])
def test_a_page_waits_for_its_turn(handler: Handler, path: str) -> None:
    first, second, read = ask("/docs"), ask(path), ask("/v1/generations")
    for _ in range(2):
        assert handler.begun.acquire(timeout=WAIT_SECONDS)  # one page, and the read, which waits for none
    assert not handler.begun.acquire(blocking=False)
    handler.go.set()
    for thread in (first, second, read):
        thread.join(WAIT_SECONDS)
    assert handler.begun.acquire(timeout=WAIT_SECONDS)


def test_a_page_waits_no_longer_than_its_turn_may_take(handler: Handler, monkeypatch: Any) -> None:
    monkeypatch.setattr(document_turns, "MAX_WAIT_SECONDS", 0.01)
    threads = [ask("/docs"), ask("/docs")]
    for _ in threads:
        assert handler.begun.acquire(timeout=WAIT_SECONDS)
    handler.go.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert document_turns._turn.acquire(blocking=False)  # it was given back once
    document_turns._turn.release()


def test_a_pause_follows_each_page(handler: Handler, monkeypatch: Any) -> None:
    slept = list[float]()
    patch_library(monkeypatch, document_turns, time, sleep=slept.append)
    handler.go.set()
    for _ in range(2):
        ask("/docs").join(WAIT_SECONDS)
    ask("/v1/generations").join(WAIT_SECONDS)
    assert len(slept) == 2
    assert 0 < slept[1] <= document_turns.PAUSE_SECONDS
