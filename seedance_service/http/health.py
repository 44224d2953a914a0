"""`/livez`: the process answers. `/readyz`: so do database, broker and bucket, and a worker has looked lately.

Each is asked in a thread of its own, for DEADLINE at most: what hangs is told, and asked again only when it has let go.
They answer before any handler, since a prober calls by address and shows no key, and say nothing that is secret.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.db import connection
from django.http import HttpResponse, JsonResponse

from generations import wakeups
from generations.bucket import objects
from generations.reports import worker_hosts

log = structlog.stdlib.get_logger(__name__)

DEADLINE = 2.0  # seconds, below the patience of most probers
KEPT = 1.0  # seconds that an answer is good for: a storm of probes is one look


class NotWell(Exception):
    """What is wrong, in a sentence."""


@dataclass(frozen=True)
class Seen:
    at: float  # by the monotonic clock
    milliseconds: float
    trouble: str = ""


class Check:
    """One thing that the service needs, and what was last seen of it."""

    def __init__(self, name: str, ask: Callable[[], object], sentence: str) -> None:
        self.name, self._ask, self._sentence = name, ask, sentence
        self._lock = threading.Lock()
        self._seen: Future[Seen] | None = None

    def begin(self) -> "Future[Seen]":
        """The look that is under way, or was made lately; else a new one."""
        with self._lock:
            known = self._seen
            if known is None or (known.done() and time.monotonic() - known.result().at > KEPT):
                known = Future()
                # A daemon, and of no pool: a process that ends does not wait for what hangs.
                thread = threading.Thread(target=self._look, args=(known,), name=f"health-{self.name}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the machine has no thread left
                    known.set_result(Seen(time.monotonic(), 0.0, self._sentence))
                self._seen = known
            return known

    def _look(self, seen: "Future[Seen]") -> None:
        began = time.monotonic()
        trouble = ""
        try:
            self._ask()
        except NotWell as error:
            trouble = str(error)
        except Exception:  # whatever it is, the prober hears of it, and the log has the rest
            log.exception("something is not well", check=self.name)
            trouble = self._sentence
        try:
            connection.close()  # this thread's own, seldom used
        finally:
            seen.set_result(Seen(time.monotonic(), (time.monotonic() - began) * 1000, trouble))


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _worker() -> None:
    age = worker_hosts.latest_heartbeat_age()
    if age is None:
        raise NotWell("No worker has ever looked at the due rows.")
    if age > worker_hosts.SILENT_AFTER:
        raise NotWell(f"No worker has looked at the due rows for {age.total_seconds():.0f} s.")


CHECKS = {
    check.name: check
    for check in (
        Check("database", _database, "The database does not answer."),
        Check("broker", wakeups.ping, "The broker does not answer."),
        Check("bucket", objects.ping, "The bucket can not be reached, or is not there."),
        Check("worker", _worker, "It is not known whether a worker looks."),
    )
}


def ready(names: set[str]) -> tuple[bool, dict[str, Any]]:
    """All are asked at once."""
    began = {name: CHECKS[name].begin() for name in CHECKS if name in names}
    ends = time.monotonic() + DEADLINE
    answers = {name: _answer(future, ends) for name, future in began.items()}
    return all(answer["ok"] for answer in answers.values()), answers


def _answer(future: "Future[Seen]", ends: float) -> dict[str, Any]:
    try:
        seen = future.result(timeout=max(ends - time.monotonic(), 0))
    except TooLate:
        return {"ok": False, "ms": DEADLINE * 1000, "error": f"It has not answered within {DEADLINE:.0f} s."}
    told = {"ok": not seen.trouble, "ms": round(seen.milliseconds, 1)}
    return {**told, "error": seen.trouble} if seen.trouble else told


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a probe before any handler: neither the host that it names nor the database can keep this from it."""
    response = _respond(environ)
    response.headers["Content-Length"] = str(len(response.content))
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return response


def _respond(environ: dict[str, Any]) -> HttpResponse:
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
    response = PAGES[environ["PATH_INFO"]](environ.get("QUERY_STRING", ""))
    response.headers["Cache-Control"] = "no-store"
    return response


def livez(query: str) -> HttpResponse:
    return JsonResponse({"ok": True})


def readyz(query: str) -> HttpResponse:
    """`?without=worker`: for a load balancer. What is accepted while no worker works is durable, and waits."""
    *_, skipped = parse_qs(query).get("without", [""])
    is_ready, checks = ready(set(CHECKS) - set(skipped.split(",")))
    return JsonResponse({"ok": is_ready, "checks": checks}, status=200 if is_ready else 503)


PAGES: dict[str, Callable[[str], HttpResponse]] = {"/livez": livez, "/readyz": readyz}
