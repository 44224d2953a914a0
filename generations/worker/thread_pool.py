"""A pool of threads for one kind of work in a worker run."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import connections


class ThreadPool:
    """Threads that do one kind of work. At most `size` items are in progress or wait for a thread."""

    def __init__(self, executor: ThreadPoolExecutor, size: int, work: Callable[[Any], None]) -> None:
        self.executor, self.size, self._work = executor, size, work
        self.pending: dict[Future[None], Any] = {}  # items in progress or waiting, in the order of their start

    @property
    def free(self) -> int:
        """How many more items the pool takes."""
        return self.size - len(self.pending)

    def start(self, items: Sequence[Any]) -> int:
        """Hand the items to the threads. Return how many there are."""
        self.pending |= {self.executor.submit(self._work, item): item for item in items}
        return len(items)

    def drop_finished(self) -> list[Any]:
        """Forget the items that are finished. Return the pending ones."""
        self.pending = {future: item for future, item in self.pending.items() if not future.done()}
        return list(self.pending.values())

    def cancel_waiting(self) -> list[Any]:
        """Cancel the items that no thread has begun, and return them."""
        return [item for future, item in self.pending.items() if future.cancel()]

    def nth_pending(self, count: int) -> set[Future[None]]:
        """Return the future that ends when about `count` items are finished. Threads begin items in their order."""
        return set(islice(self.pending, count - 1, count))


@contextmanager
def open_pool(name: str, threads: int, size: int, work: Callable[[Any], None]) -> Iterator[ThreadPool]:
    """Open a pool whose threads keep their database connections, and close the connections at the end.

    Leaving the context waits for the work in progress.
    """
    opened = []

    def open_connection() -> None:
        connection = connections["default"]
        connection.inc_thread_sharing()  # so that this thread can close it
        opened.append(connection)

    with ThreadPoolExecutor(threads, name, initializer=open_connection) as executor:
        yield ThreadPool(executor, size, work)
    for connection in opened:
        connection.close()
