"""Requests for documents take turns, with a pause after each.

Such a page is made once and needs the interpreter alone. A read of a generation needs it again after each statement of
the database, and would get it behind a page each time: readers of pages in a loop took it for most of the time.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

DOCUMENTATION = ("/docs", "/openapi.json", "/llms.txt")
DOCUMENTS = (*DOCUMENTATION, "/v1/models")
PAUSE_SECONDS = 0.004  # up to 200 pages a second in a process
MAX_WAIT_SECONDS = 0.1  # a request that waits holds a thread of the server

_turn = threading.Lock()
_next_at = 0.0  # by the monotonic clock


@contextmanager
def taken(path: str) -> Iterator[None]:
    """Hold the turn during the context, if the path is a document's and its turn comes within MAX_WAIT_SECONDS."""
    global _next_at
    if not (path.startswith(DOCUMENTS) and _turn.acquire(timeout=MAX_WAIT_SECONDS)):
        yield
        return
    try:
        time.sleep(max(_next_at - time.monotonic(), 0.0))
        yield
    finally:
        _next_at = time.monotonic() + PAUSE_SECONDS
        _turn.release()
