"""Wait until a process that was just started does its work."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

from deploy.stack import Process, StackError

MAX_START_SECONDS = 60.0
PROBE_INTERVAL_SECONDS = 0.05
READYZ_INTERVAL_SECONDS = 0.25  # /readyz checks every dependency, while two processes still start


def until_answers(process: Process, url: str) -> None:
    """Wait until the process itself answers at a URL, even with an error.

    Raise StackError if the process ends, or does not answer within MAX_START_SECONDS.
    """
    port = urlsplit(url).port or 80
    failure = f"does not answer at {url}"
    _wait(process, lambda: process.listens_on(port) and _answers(url), failure, PROBE_INTERVAL_SECONDS)


def until_worker_works(worker: Process, url: str) -> None:
    """Wait until /readyz at `url` reports a worker's heartbeat. Raise StackError if the worker ends or takes too long.

    deploy/prepare.py has deleted the heartbeat of the start before.
    """
    _wait(worker, lambda: _has_heartbeat(url), "does not work", READYZ_INTERVAL_SECONDS)


def until_service_works(read_url: Callable[[], str], starter: str) -> None:
    """Wait until the service that `starter` starts has a working worker. Raise StackError if that takes too long.

    `read_url` returns its URL, or an empty text as long as nothing is known.
    """
    ends = time.monotonic() + MAX_START_SECONDS
    while not ((url := read_url()) and _has_heartbeat(f"{url}/readyz")):
        if time.monotonic() > ends:
            raise StackError(
                f"{starter} is still starting, or does not answer{f' at {url}' if url else ''}. Try later."
            )
        time.sleep(READYZ_INTERVAL_SECONDS)


def _wait(process: Process, is_ready: Callable[[], bool], failure: str, interval: float) -> None:
    ends = time.monotonic() + MAX_START_SECONDS
    while time.monotonic() < ends:
        if process.has_ended():
            raise StackError(f"{process.name} ended at its start. The end of {process.log}:\n{process.log_tail()}")
        if is_ready():
            return
        time.sleep(interval)
    raise StackError(f"{process.name} {failure}. The end of {process.log}:\n{process.log_tail()}")


def _has_heartbeat(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            body = response.read()
    except urllib.error.HTTPError as error:  # 503: something is not ready
        with error:
            body = error.read()
    except OSError:
        return False
    try:
        return bool(json.loads(body)["checks"]["worker"]["ok"])
    except (ValueError, KeyError, TypeError):  # another program answers
        return False


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True
