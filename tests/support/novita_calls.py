"""Calls of Novita's wire, as the worker makes them."""

from typing import Any

import msgspec

from generations.upstream import accounts, wires
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import Account

WIRE = "novita-async"


def account() -> Account:
    """Return Novita's account."""
    return accounts.get("novita", WIRE)


def submit(path: str, body: dict[str, Any]) -> SubmitOutcome:
    """Send one paid POST."""
    return wires.get(WIRE).submit(account(), path, msgspec.json.encode(body))


def get_task(upstream_id: str) -> PollOutcome:
    """Read a task's state."""
    return wires.get(WIRE).get(account(), upstream_id)
