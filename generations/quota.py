"""ADMIT: which windows a generation is charged to, and whether there is room in all of them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tenants import ledger
from tenants.ledger import EPOCH, Charge, Kind


def charges(price_micro: int, at: datetime) -> list[Charge]:
    """What one generation takes, always in this order: two admissions can then not deadlock."""
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    day = minute.replace(hour=0, minute=0)
    month = day.replace(day=1)
    return [
        Charge(Kind.IN_FLIGHT, EPOCH, 1),
        Charge(Kind.REQUESTS_PER_MINUTE, minute, 1),
        Charge(Kind.PER_DAY, day, 1),
        Charge(Kind.PER_MONTH, month, 1),
        Charge(Kind.USD_PER_MONTH, month, price_micro),
    ]


def admit(tenant_id: int, wanted: Sequence[Charge]) -> None:
    """Take the room, as the last act of the admission's transaction: these are its hot rows.

    Raises LimitReached, which rolls the whole admission back.
    """
    ledger.take_room(tenant_id, wanted)
