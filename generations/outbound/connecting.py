"""Open a connection to a host: its addresses are tried in turn, within the time of the exchange."""

import ssl
import time
from collections.abc import Callable
from functools import cache

import certifi
import httpcore

MAX_ADDRESSES = 8  # that are tried: the owner of the name decides how many there are
MAX_CONNECT_SECONDS = 5.0  # for an address, if there is another one

Resolve = Callable[[str, int, float], list[str]]  # from host, port and timeout in seconds to addresses, the best first


def connect(origin: httpcore.Origin, resolve: Resolve, seconds_left: Callable[[], float]) -> httpcore.NetworkStream:
    """Return a stream to the first of the origin's addresses that accepts a connection, and TLS if it has to.

    An address gets its share of the seconds left, so that one which drops every packet does not hide the others. Raise
    the error of the last address, and what `resolve` and `seconds_left` raise. Nothing of a request has been sent then.
    """
    host = origin.host.decode("ascii")
    addresses = resolve(host, origin.port, seconds_left())[:MAX_ADDRESSES]
    for number, address in enumerate(addresses, 1):
        left, others = seconds_left(), len(addresses) - number
        timeout = min(left / (others + 2), MAX_CONNECT_SECONDS) if others else left
        try:
            return _open(address, origin, timeout)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if not others:
                raise
    raise httpcore.ConnectError("there is no address")


def _open(address: str, origin: httpcore.Origin, timeout: float) -> httpcore.NetworkStream:
    """Connect to one address within `timeout` seconds, TLS included. Raise ConnectError or ConnectTimeout."""
    ends_at = time.monotonic() + timeout
    stream = httpcore.SyncBackend().connect_tcp(address, origin.port, timeout)
    if origin.scheme == b"https":
        name = origin.host.decode("ascii").rstrip(".")  # no certificate names the root's dot
        stream = stream.start_tls(_tls(), name, max(ends_at - time.monotonic(), 0.001))
    return stream


@cache
def _tls() -> ssl.SSLContext:
    """Return the TLS context of all connections. It is created once: loading the certificates takes 20 ms."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
