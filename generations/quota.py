"""ADMIT: whether a generation has room in every window of its tenant and its key."""

from collections.abc import Sequence

from generations.models import Generation
from tenants import ledger, windows
from tenants.errors import TenantSuspended
from tenants.models import ApiKey
from tenants.windows import Charge, Standing


class ZoneChanged(Exception):
    """The tenant's days and months begin elsewhere than when the charges were made out: they must be made anew."""


def charges(key: ApiKey, price_micro: int, generation: Generation) -> list[Charge]:
    """What the generation takes, of the windows in which it was created."""
    return windows.charges(price_micro, generation.duration, generation.created_at, key.tenant.zone)


def look(key: ApiKey, wanted: Sequence[Charge]) -> None:
    """Before its pictures are stored: raises LimitReached or TenantSuspended where `admit` surely would now."""
    if key.tenant.suspended_at:
        raise TenantSuspended
    ledger.check_room(key, wanted)


def admit(key: ApiKey, wanted: Sequence[Charge]) -> list[Standing]:
    """Take the room, as the last act of the admission's transaction: these are its hot rows.

    Raises LimitReached, TenantSuspended or ZoneChanged, which rolls the whole admission back.
    """
    locked = ledger.lock_key(key.pk)
    if locked.tenant.time_zone != key.tenant.time_zone:
        raise ZoneChanged
    if locked.tenant.suspended_at:
        raise TenantSuspended
    return ledger.take_room(locked, wanted)
