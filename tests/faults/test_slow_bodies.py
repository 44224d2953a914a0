"""Callers who send their bodies slowly, at one real web process: they hold few threads, and are answered."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from deploy import stack
from seedance_service.http import body_places
from tests.support.hostile import APIS, OWN, RIGHT, Api
from tests.support.web_process import Web, parsed

CONTENT = json.dumps(RIGHT).encode()
DRIP_SECONDS = 0.05


@pytest.fixture(scope="module")
def web(tmp_path_factory: Any) -> Iterator[Web]:
    started = Web(tmp_path_factory.mktemp("web"), "http://127.0.0.1:9", "tests.support.impatient_web:application")
    yield started
    stack.stop([started.process])


class SlowCaller:
    """A caller who has sent the head of a create and the first byte of its body."""

    def __init__(self, web: Web, api: Api = OWN) -> None:
        self._connection = socket.create_connection(("127.0.0.1", web.port), timeout=30)
        self._connection.sendall(web.head(api, len(CONTENT)) + CONTENT[:1])

    def __enter__(self) -> "SlowCaller":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def drip(self) -> None:
        """Send a byte now and then, until the server has answered."""
        self._connection.settimeout(DRIP_SECONDS)
        for byte in CONTENT[1:]:
            self._connection.sendall(bytes([byte]))
            try:
                self._connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                continue
            return

    def finish(self) -> None:
        self._connection.sendall(CONTENT[1:])

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return the status, headers and body of the answer, after which the server has closed the connection."""
        self._connection.settimeout(30)
        return parsed(b"".join(iter(lambda: self._connection.recv(65_536), b"")))


def check_refused(answer: tuple[int, dict[str, str], Any], api: Api, status: int, code: str) -> None:
    assert (answer[0], answer[1]["retry-after"], answer[1]["connection"]) == (status, "5", "close")
    assert answer[2]["code"] == (code if api is OWN else status)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_a_body_that_drips_in_is_cut_off_with_an_answer(web: Web, api: Api) -> None:
    with SlowCaller(web, api) as caller:
        caller.drip()
        check_refused(caller.answer(), api, 408, "body_too_slow")
    assert "slow callers were cut off" in web.process.log.read_text()


def test_a_body_that_stops_is_cut_off_and_a_caller_who_waits_is_not(web: Web) -> None:
    created = web.send(OWN, [CONTENT])
    with ThreadPoolExecutor(1) as pool, SlowCaller(web) as caller:
        waiting = pool.submit(web.get, f"/v1/generations/{created[2]['id']}", {"Prefer": "wait=1"})
        check_refused(caller.answer(), OWN, 408, "body_too_slow")
        status, headers, _ = waiting.result()
    assert (status, headers["preference-applied"]) == (200, "wait=1")


def test_slow_bodies_hold_few_places_and_refuse_no_other_tenant(web: Web) -> None:
    bob = web.create_tenant("bob")
    path = f"/v1/generations/{web.send(OWN, [CONTENT])[2]['id']}"
    with ExitStack() as opened:
        callers = [opened.enter_context(SlowCaller(web)) for _ in range(body_places.CALLER_PLACES)]
        time.sleep(0.3)  # longer than a body may be quick: nothing shows the age of a read from outside
        check_refused(web.send(OWN, [CONTENT]), OWN, 503, "too_many_bodies")
        assert web.get(path)[0] == 200
        assert web.send(OWN, [CONTENT], key=bob)[0] == OWN.accepted
        for caller in callers:
            caller.finish()
            assert caller.answer()[0] == OWN.accepted
    assert web.send(OWN, [CONTENT])[0] == OWN.accepted
