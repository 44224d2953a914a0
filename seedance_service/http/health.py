"""The probes: `/livez` says that the process answers, `/readyz` that database, broker, bucket and a worker do.

Each dependency is checked in a thread of its own, for DEADLINE_SECONDS at most: a check that hangs is reported, and is
repeated only after it has returned. Probes are answered before any handler, since a prober calls by address and shows
no key. The answers hold nothing secret.
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
from generations.bucket import client
from generations.reports import worker_hosts
from tenants.db import refused_writes, schema
from tenants.db.engine import engine

log = structlog.stdlib.get_logger(__name__)

DEADLINE_SECONDS = 2.0  # below the timeout of most probers
MAX_RESULT_AGE_SECONDS = 1.0  # a storm of probes is one check


class Unhealthy(Exception):
    """A check failed; the message says how, in a sentence."""


@dataclass(frozen=True)
class Result:
    """The result of one check; `error` is empty where the dependency answered."""

    finished_at: float  # by the monotonic clock, in seconds
    milliseconds: float
    error: str = ""


class Check:
    """A check of one dependency of the service, with its latest result."""

    def __init__(self, name: str, check: Callable[[], object], failure: str) -> None:
        self.name, self._check, self._failure = name, check, failure
        self._lock = threading.Lock()
        self._latest: Future[Result] | None = None

    def start(self) -> "Future[Result]":
        """Return the check that is in progress or has just finished; start one where there is neither."""
        with self._lock:
            latest = self._latest
            if latest is None or (
                latest.done() and time.monotonic() - latest.result().finished_at > MAX_RESULT_AGE_SECONDS
            ):
                latest = Future()
                # A daemon, and of no pool: a process that ends does not wait for what hangs.
                thread = threading.Thread(target=self._run, args=(latest,), name=f"health-{self.name}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the machine has no thread left
                    latest.set_result(Result(time.monotonic(), 0.0, self._failure))
                self._latest = latest
            return latest

    def _run(self, result: "Future[Result]") -> None:
        started_at = time.monotonic()
        message = ""
        try:
            self._check()
        except Unhealthy as error:
            message = str(error)
        except Exception:  # the prober gets the sentence, the log the traceback
            log.exception("something is not well", check=self.name)
            message = self._failure
        try:
            connection.close()  # this thread's own, seldom used
        finally:
            result.set_result(Result(time.monotonic(), (time.monotonic() - started_at) * 1000, message))


def _database() -> None:
    """Check that the database answers, has the schema of this release, and takes writes."""
    if missing := schema.missing_migrations():
        raise Unhealthy(
            f"The database's schema is older than this release: {len(missing)} migrations are not applied. "
            "Run manage.py migrate."
        )
    if why := engine.why_no_writes():
        raise Unhealthy(why)
    if refused_writes.is_recent():
        raise Unhealthy("The database has just refused a write: its disk is full, or it is read-only.")


def _worker() -> None:
    age = worker_hosts.latest_heartbeat_age()
    if age is None:
        raise Unhealthy("No worker has ever looked at the due rows.")
    if age > worker_hosts.SILENT_AFTER:
        raise Unhealthy(f"No worker has looked at the due rows for {age.total_seconds():.0f} s.")


CHECKS = {
    check.name: check
    for check in (
        Check("database", _database, "The database does not answer."),
        Check("broker", wakeups.check_broker, "The broker does not answer."),
        Check("bucket", client.ping, "The bucket can not be reached, or is not there."),
        Check("worker", _worker, "It is not known whether a worker looks."),
    )
}


def ready(names: set[str]) -> tuple[bool, dict[str, Any]]:
    """Run the named checks at the same time. Return whether all passed, and the results as JSON by their names."""
    started = {name: CHECKS[name].start() for name in CHECKS if name in names}
    ends_at = time.monotonic() + DEADLINE_SECONDS
    answers = {name: _result_as_json(future, ends_at) for name, future in started.items()}
    return all(answer["ok"] for answer in answers.values()), answers


def _result_as_json(future: "Future[Result]", ends_at: float) -> dict[str, Any]:
    try:
        result = future.result(timeout=max(ends_at - time.monotonic(), 0))
    except TooLate:
        return {
            "ok": False,
            "ms": DEADLINE_SECONDS * 1000,
            "error": f"It has not answered within {DEADLINE_SECONDS:.0f} s.",
        }
    body = {"ok": not result.error, "ms": round(result.milliseconds, 1)}
    return {**body, "error": result.error} if result.error else body


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a probe (a WSGI application). No handler is involved: a wrong Host or a lost database does not hide it."""
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
    """Answer that the process is alive."""
    return JsonResponse({"ok": True})


def readyz(query: str) -> HttpResponse:
    """Answer whether all dependencies are ready: 200 or 503.

    `?without=worker` is for a load balancer: creates that are accepted while no worker runs are durable, and wait.
    """
    *_, skipped = parse_qs(query).get("without", [""])
    is_ready, checks = ready(set(CHECKS) - set(skipped.split(",")))
    return JsonResponse({"ok": is_ready, "checks": checks}, status=200 if is_ready else 503)


PAGES: dict[str, Callable[[str], HttpResponse]] = {"/livez": livez, "/readyz": readyz}
