"""Every place where a test may kill, hang or break the process, by name. Off unless FAILPOINT is set.

FAILPOINT is `name:act[:chance]`, several with commas, `*` for every name. Acts are `kill` (SIGKILL to this process),
`hang` (two seconds; `hang=30`, thirty) and `raise`; a chance of 0.01 is one in a hundred passes. Or it is `@FOLDER`: a
file there with a name, that holds an act, is a trap for the first process that comes by. FAILPOINT_LOG names a file
that gets a line for each act, before it is done.
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
    "accept_before_commit",  # the row, its hold and its room are written
    "accept_committed",  # and nobody has been told
    "claim_committed",
    "submit_recorded",  # the attempt is durable, no byte is sent
    "submit_half_sent",  # some of the POST's body is on its way
    "submit_answered",  # and what the answer was is recorded nowhere
    "submit_settled",
    "poll_before",
    "poll_answered",
    "copy_started",  # the row says copying, no byte is read
    "copy_reading",  # some of the bytes have come
    "copy_stored",  # the object is whole, and not verified
    "copy_verified",  # and the row does not say so
    "move_before_event",  # the row has moved, within its transaction
    "finish_before_ledger",  # it has ended, within its transaction, and its hold is open
    "finish_committed",
    "doubt_recorded",
    "doubt_before_commit",  # what ops decided is written, within its transaction
    "delivery_sent",  # the receiver has answered, and nobody has written it down
    "delivery_recorded",
    "slot_taken",
    "slot_freed",  # and the last look is to come
    "ring_before",
    "ring_claimed",  # a ring is said to be under way, and is not
)
HANG = 2.0  # seconds


class Broken(Exception):
    """What the act `raise` raises."""


@dataclass(frozen=True)
class Arm:
    act: str
    chance: float
    seconds: float = HANG


def failpoint(name: str) -> None:
    """Does nothing, unless this place is armed."""
    if not settings.FAILPOINT:
        return
    arm = _trap(name) if settings.FAILPOINT.startswith("@") else _chance(name)
    if arm is None:
        return
    if settings.FAILPOINT_LOG:
        with open(settings.FAILPOINT_LOG, "a") as file:
            file.write(f"{name} {arm.act} {os.getpid()}\n")
    match arm.act:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(arm.seconds)
        case "raise":
            raise Broken(name)


def _chance(name: str) -> Arm | None:
    armed = _armed(settings.FAILPOINT)
    arm = armed.get(name) or armed.get("*")
    return arm if arm and random.random() < arm.chance else None  # noqa: S311


def _trap(name: str) -> Arm | None:
    """Springs once: who removes the file is the one."""
    path = Path(settings.FAILPOINT[1:]) / name
    try:
        act = path.read_text()
        path.unlink()
    except FileNotFoundError:
        return None
    return _parsed(f"{name}:{act}")[1]


@cache
def _armed(text: str) -> dict[str, Arm]:
    return dict(_parsed(one) for one in text.split(","))


def _parsed(text: str) -> tuple[str, Arm]:
    """Raises ValueError for a name or an act that there is not: a test that arms nothing would prove nothing."""
    name, act, *rest = text.strip().split(":")
    act, _, seconds = act.partition("=")
    if name not in (*NAMES, "*") or act not in ("kill", "hang", "raise") or len(rest) > 1:
        raise ValueError(f"FAILPOINT has {text!r}; there is no such failpoint or act")
    return name, Arm(act, float(rest[0]) if rest else 1.0, float(seconds or HANG))
