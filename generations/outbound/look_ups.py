"""Look the addresses of a host up, within a time limit."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import zip_longest

from generations.outbound.errors import FetchFailed


class Resolver:
    """Threads that look hosts up: a look-up cannot be interrupted, and may outlive what it is for."""

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._threads = name, threads

    def look_up(self, host: str, port: int, timeout: float) -> list[str]:
        """Return the host's addresses in the order in which to try them. Raise FetchFailed.

        `timeout` is in seconds.
        """
        pool = _thread_pool(os.getpid(), self._name, self._threads)
        lookup = pool.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            answers = lookup.result(timeout)
        except TimeoutError as error:
            lookup.cancel()  # has an effect only if the look-up has not begun
            raise FetchFailed("the look-up of its host took too long", is_unsent=True) from error
        except (OSError, UnicodeError) as error:
            raise FetchFailed("its host has no address", is_unsent=True) from error
        found = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
        if not found:
            raise FetchFailed("its host has no address", is_unsent=True)
        return _alternate_families(list(found))


def _alternate_families(found: list[str]) -> list[str]:
    """Return the addresses with IPv6 and IPv4 by turns, the first one first: one family may be cut off as a whole."""
    first = [address for address in found if (":" in address) == (":" in found[0])]
    second = [address for address in found if (":" in address) != (":" in found[0])]
    return [address for pair in zip_longest(first, second) for address in pair if address]


@cache
def _thread_pool(process_id: int, name: str, threads: int) -> ThreadPoolExecutor:
    """Create the threads of a process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix=name)
