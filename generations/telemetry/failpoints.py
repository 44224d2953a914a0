"""Named places at which a test may kill, hang or break the process. They do nothing unless FAILPOINT is set.

FAILPOINT is `name:action[:chance]`, several separated by commas, with `*` for every name. An action is `kill` (SIGKILL
to this process), `hang` (two seconds; `hang=30` thirty) or `raise`. A chance of 0.01 is one in a hundred passes.

FAILPOINT may also be `@FOLDER`. A file there, named as a failpoint and holding an action, is a trap for the first
process that passes. FAILPOINT_LOG is a file that gets a line for each action, before the action is taken.
"""

import os
import random
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

NAMES = (
    "accept_before_commit",  # row, hold and counters are written, in an open transaction
    "accept_committed",  # the caller has no answer yet
    "claim_committed",
    "submit_recorded",  # the attempt is committed, and no byte is sent
    "submit_half_sent",  # a part of the POST's body is sent
    "submit_answered",  # the answer to the POST is not recorded yet
    "submit_settled",
    "poll_before",
    "poll_answered",
    "copy_started",  # the row's status is copying, and no byte is read
    "copy_reading",  # a part of the video is read
    "copy_stored",  # the object is complete, and not verified
    "copy_verified",  # the row is not updated yet
    "move_before_event",  # the row is updated, in an open transaction, and the event is not written
    "finish_before_ledger",  # the row is finished, in an open transaction, and the hold is still open
    "finish_committed",
    "doubt_recorded",
    "doubt_before_commit",  # the operator's action is written, in an open transaction
    "delivery_sent",  # the receiver has answered, and the answer is not recorded
    "delivery_recorded",
    "slot_taken",
    "slot_freed",  # the last check for due rows is still to come
    "ring_before",
    "ring_claimed",  # the wake-up is recorded as sent, and is not in the queue
)
DEFAULT_HANG_SECONDS = 2.0


class FailpointError(Exception):
    """The exception that the action `raise` raises."""


@dataclass(frozen=True)
class Trap:
    """The action that is set for a failpoint, with the chance of the action at each pass."""

    action: str
    chance: float
    seconds: float = DEFAULT_HANG_SECONDS


def failpoint(name: str) -> None:
    """Take the action that is set for this place. Do nothing if none is set.

    Raise FailpointError for the action `raise`, and ValueError if FAILPOINT is malformed.
    """
    if not settings.FAILPOINT:
        return
    trap = _take_from_folder(name) if settings.FAILPOINT.startswith("@") else _draw_from_setting(name)
    if trap is None:
        return
    if settings.FAILPOINT_LOG:
        with open(settings.FAILPOINT_LOG, "a") as file:
            file.write(f"{name} {trap.action} {os.getpid()}\n")
    match trap.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(trap.seconds)
        case "raise":
            raise FailpointError(name)


def _draw_from_setting(name: str) -> Trap | None:
    """Return the trap that FAILPOINT sets for this place, with the probability of its chance. Else return None."""
    traps = _parse(settings.FAILPOINT)
    trap = traps.get(name) or traps.get("*")
    return trap if trap and random.random() < trap.chance else None  # noqa: S311


def _take_from_folder(name: str) -> Trap | None:
    """Remove the trap's file and return the trap. Return None if there is no file, or another process removed it."""
    path = Path(settings.FAILPOINT[1:]) / name
    try:
        action = path.read_text()
        path.unlink()
    except FileNotFoundError:
        return None
    return _parse_trap(f"{name}:{action}")[1]


@cache
def _parse(text: str) -> dict[str, Trap]:
    """Parse the setting into traps by name."""
    return dict(_parse_trap(part) for part in text.split(","))


def _parse_trap(text: str) -> tuple[str, Trap]:
    """Parse `name:action[:chance]`.

    Raise ValueError for an unknown name or action: a test that sets no trap would prove nothing.
    """
    name, action, *rest = text.strip().split(":")
    action, _, seconds = action.partition("=")
    if name not in (*NAMES, "*") or action not in ("kill", "hang", "raise") or len(rest) > 1:
        raise ValueError(f"FAILPOINT has {text!r}: there is no such failpoint or action.")
    return name, Trap(action, float(rest[0]) if rest else 1.0, float(seconds or DEFAULT_HANG_SECONDS))
