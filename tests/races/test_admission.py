"""Many callers at one moment: with room for L exactly L are admitted; a naive count shows that the race is real."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from generations import catalog, lifecycle, quota
from generations.models import Generation
from tenants import audit
from tenants.errors import LimitReached
from tests.conftest import Caller, make_image

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS, LIMIT = 30, 7
TRIALS = int(os.environ.get("RACE_TRIALS", "1"))
MODEL = catalog.SEEDANCE_V1_LITE_I2V
PRICE = MODEL.price_micro("480p", "16:9", 5)
LIMITS = {
    "requests_per_minute": LIMIT,
    "in_flight": LIMIT,
    "per_day": LIMIT,
    "per_month": LIMIT,
    "usd_per_month_micro": LIMIT * PRICE + PRICE - 1,
}


def draft(caller: Caller) -> Generation:
    return Generation(
        tenant=caller.tenant,
        created_at=timezone.now(),
        model=MODEL.name,
        resolution="480p",
        aspect_ratio="16:9",
        duration=5,
        seed=1,
        seed_source="caller",
        image=make_image(caller.tenant),
        price_micro=PRICE,
    )


def admit(generation: Generation, charges: Any) -> None:
    with transaction.atomic():
        lifecycle.record(generation, charges)
        quota.admit(generation.tenant_id, charges)


def admit_naively(generation: Generation, charges: Any) -> None:
    """What everybody writes first: count, then insert."""
    if Generation.objects.filter(tenant=generation.tenant_id).count() >= LIMIT:
        raise LimitReached(limit_name="", limit=0, used=0, wanted=0, remedy="")
    with transaction.atomic():
        lifecycle.record(generation, charges)


def race(caller: Caller, act: Callable[[Generation, Any], None]) -> int:
    """How many of CALLERS threads, released at one moment, were admitted."""
    barrier, admitted, refused, failed = threading.Barrier(CALLERS), [], [], []

    def call(generation: Generation) -> None:
        charges = quota.charges(generation.price_micro, generation.created_at)
        try:
            connection.ensure_connection()
            barrier.wait(30)
            act(generation, charges)
            admitted.append(1)
        except LimitReached:
            refused.append(1)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=(draft(caller),)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(admitted) + len(refused) == CALLERS
    return len(admitted)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("trial", range(TRIALS))
def test_exactly_the_limit_is_admitted(alice: Caller, limit: str, trial: int) -> None:
    alice.limit(**{limit: LIMITS[limit]})
    assert race(alice, admit) == LIMIT
    assert Generation.objects.count() == LIMIT
    assert audit.check(alice.tenant.pk) == []


def test_the_race_is_real(alice: Caller) -> None:
    assert race(alice, admit_naively) > LIMIT
