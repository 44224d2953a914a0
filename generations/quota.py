"""ADMIT: whether a generation has room in every window of its tenant and its key."""

from collections.abc import Sequence
from typing import Any

from generations.models import Generation
from tenants import room, windows
from tenants.errors import InvalidKey, TenantSuspended
from tenants.models import ApiKey
from tenants.statements import Fragment
from tenants.windows import Charge, Standing


class KeyChanged(Exception):
    """Its limits, or where its tenant's days and months begin, are others than when the charges were made out."""


def charges(key: ApiKey, price_micro: int, generation: Generation) -> list[Charge]:
    """What the generation takes, of the windows in which it was created."""
    return windows.charges(price_micro, generation.duration, generation.created_at, key.tenant.zone)


def look(key: ApiKey, wanted: Sequence[Charge]) -> None:
    """Before its pictures are stored: raises LimitReached or TenantSuspended where `admit` surely would now."""
    if key.tenant.suspended_at:
        raise TenantSuspended
    room.check_room(key, wanted)


def take(key: ApiKey, wanted: Sequence[Charge]) -> room.Taking:
    """As the last act of the admission's transaction, since these are its hot rows; `admit` says whether it may."""
    return room.Taking(key, wanted)


def admit_at_once(
    key: ApiKey, wanted: Sequence[Charge], writes: Sequence[Fragment], held: Sequence[Any]
) -> list[Standing] | None:
    """As `take` and `admit`, with the row and its hold, as one transaction; None where `admit` has something to say."""
    return room.take_at_once(key, wanted, writes, held)


def admit(taking: room.Taking) -> list[Standing]:
    """How each limit stands now that the room is taken.

    Raises LimitReached, TenantSuspended, InvalidKey or KeyChanged, which rolls the whole admission back.
    """
    now = taking.holder()
    if now.revoked:
        raise InvalidKey
    if now.suspended:
        raise TenantSuspended
    if now != room.holder(taking.key):
        raise KeyChanged
    return taking.standings()
