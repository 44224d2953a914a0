"""Ask whether routes still live, each by a POST with a bogus key and an empty body: it makes nothing and costs nothing.

A living route refuses the key with 403 INVALID_API_KEY, and a gone one is answered with 404. A gateway in front of all
routes may refuse the key too, so a route that is known to be gone and a made-up one are asked in the same run: unless
both are gone, no answer means anything. The answers are for people, and change no state.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace

from generations.outbound.errors import OutboundError
from generations.upstream import exchanges
from generations.upstream.novita import answers
from generations.upstream.protocol import Account, Liveness, Probe, Uncalibrated

BOGUS_KEY = "the-key-of-a-probe"  # never the real one: a probe must not be able to create
KNOWN_GONE = "/v3/async/kling-v2.6-pro-i2v"  # since 2026-07-22
EMPTY = b"{}"


def probe_all(account: Account, paths: Iterable[str]) -> Iterator[Probe]:
    """Yield the probe of each route. Raise Uncalibrated before the first if no answer would mean anything."""
    stranger = replace(account, api_key=BOGUS_KEY)
    for path in (KNOWN_GONE, f"/v3/async/no-such-route-{secrets.token_hex(8)}"):
        calibration = _probe(stranger, path)
        if calibration.liveness != Liveness.GONE:
            raise Uncalibrated(f"a route that does not exist is answered with {calibration.fact}")
    yield from (_probe(stranger, path) for path in paths)


def _probe(stranger: Account, path: str) -> Probe:
    """Ask one route."""
    try:
        status, reason = answers.status_and_reason(exchanges.ask_once(stranger, "POST", path, EMPTY))
    except OutboundError as error:
        return Probe(path, Liveness.UNCLEAR, f"no answer: {error}")
    fact = f"HTTP {status} {reason}".strip()
    if status == 404:
        return Probe(path, Liveness.GONE, fact)
    return Probe(path, Liveness.LIVING if (status, reason) == (403, "INVALID_API_KEY") else Liveness.UNCLEAR, fact)
