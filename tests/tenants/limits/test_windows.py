"""Windows begin and end in the tenant's time zone, also when the clocks change there."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from generations.catalog import request_check, video_models
from generations.intake import create
from generations.intake.generation_request import GenerationRequest
from tenants import actions, amounts, locks
from tenants.errors import LimitReached
from tenants.limits import counters, windows
from tenants.limits.windows import Kind
from tenants.models import ApiKey, LedgerEntry, Window
from tenants.money import reconcile
from tests.support.factories import ACTOR, Caller, make_generation

BERLIN, AUCKLAND = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")


def at(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "zone", "starts", "ends"),
    [
        (Kind.REQUESTS_PER_MINUTE, BERLIN, "2026-11-30 23:30", "2026-11-30 23:31"),
        (Kind.PER_DAY, ZoneInfo("UTC"), "2026-11-30 00:00", "2026-12-01 00:00"),
        (Kind.PER_DAY, BERLIN, "2026-11-30 23:00", "2026-12-01 23:00"),
        (Kind.PER_MONTH, ZoneInfo("UTC"), "2026-11-01 00:00", "2026-12-01 00:00"),
        (Kind.PER_MONTH, BERLIN, "2026-11-30 23:00", "2026-12-31 23:00"),
        (Kind.USD_PER_MONTH, AUCKLAND, "2026-11-30 11:00", "2026-12-31 11:00"),
    ],
)
def test_a_window_is_the_tenants_own_day_or_month(kind: Kind, zone: ZoneInfo, starts: str, ends: str) -> None:
    began = windows.start(kind, at("2026-11-30 23:30:12"), zone)
    assert (began, windows.end(kind, began, zone)) == (at(starts), at(ends))


def test_in_flight_has_one_window_for_ever() -> None:
    assert windows.start(Kind.IN_FLIGHT, at("2026-11-30 23:30"), BERLIN) == windows.EPOCH
    assert windows.end(Kind.IN_FLIGHT, windows.EPOCH, BERLIN) is None


@pytest.mark.parametrize("zone", [BERLIN, AUCKLAND, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Africa/Cairo")])
def test_each_instant_of_two_years_lies_in_one_day_and_one_month(zone: ZoneInfo) -> None:
    """Windows leave no gap and do not overlap, even where the clocks change at midnight."""
    for kind in (Kind.PER_DAY, Kind.PER_MONTH):
        moment = at("2025-01-01 00:30")
        while moment < at("2027-01-01 00:00"):
            starts_at = windows.start(kind, moment, zone)
            ends_at = windows.end(kind, starts_at, zone)
            assert ends_at is not None
            assert starts_at <= moment < ends_at
            assert windows.start(kind, ends_at, zone) == ends_at
            moment += timedelta(hours=7)


@pytest.mark.parametrize(("micro", "text"), [(0, "0.000000"), (1, "0.000001"), (12_500_000, "12.500000")])
def test_money_is_formatted_exactly(micro: int, text: str) -> None:
    assert amounts.format_usd(micro) == text
    assert amounts.format_usd(-micro) == (f"-{text}" if micro else text)
    assert amounts.format_usd(2**62 + 1) == "4611686018427.387905"


def test_a_tenants_day_begins_at_its_own_midnight(alice: Caller) -> None:
    alice.tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Europe/Berlin", per_day=1)
    alice.key = locks.lock_key(alice.key.pk)
    make_generation(alice, created_at=at("2026-11-24 22:59"))
    make_generation(alice, created_at=at("2026-11-24 23:01"))
    assert Window.objects.filter(kind="per_day", api_key=None, used=1).count() == 2


def test_another_time_zone_does_not_empty_the_month(alice: Caller) -> None:
    alice.limit(per_month=3)
    with time_machine.travel(at("2026-11-30 12:00"), tick=False):
        for _ in range(2):
            make_generation(alice)
        actions.change_tenant(ACTOR, alice.tenant, time_zone="Pacific/Auckland")  # where it is December already
        alice.key = locks.lock_key(alice.key.pk)
        month = next(
            usage for usage in counters.usage_for_key(alice.key, at("2026-11-30 12:00")) if usage.kind == Kind.PER_MONTH
        )
        assert (month.starts_at, month.used, month.remaining) == (at("2026-11-30 11:00"), 2, 1)
        assert reconcile.check(alice.tenant.pk) == []
        assert set(LedgerEntry.objects.filter(kind="adjust").values_list("amount_micro", flat=True)) == {0}


def test_a_day_in_another_zone_counts_the_usage_of_both_old_days_that_it_overlaps(alice: Caller) -> None:
    alice.limit(per_day=4)
    for hour in ("2026-11-10 14:00", "2026-11-10 20:00", "2026-11-11 00:10"):
        with time_machine.travel(at(hour), tick=False):
            make_generation(alice)
    with time_machine.travel(at("2026-11-11 00:30"), tick=False):
        tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Tokyo")
        usages = counters.usage_for_tenant(tenant, at("2026-11-11 00:30"))
        day = next(usage for usage in usages if usage.kind == Kind.PER_DAY)
        assert (day.starts_at, day.used) == (at("2026-11-10 15:00"), 2)
        assert reconcile.check(tenant.pk) == []


def test_a_create_in_progress_while_the_zone_changes_counts_in_the_new_windows(
    alice: Caller, body: dict[str, Any]
) -> None:
    """The key was read before the change, so its charges are computed again under the lock."""
    alice.limit(per_day=1)
    with time_machine.travel(at("2026-11-10 20:00"), tick=False):
        read_before = ApiKey.objects.select_related("tenant").get(pk=alice.key.pk)
        make_generation(alice)
        actions.change_tenant(ACTOR, alice.tenant, time_zone="Pacific/Kiritimati")
        with pytest.raises(LimitReached):
            create.create_generation(read_before, generation_request())
        alice.limit(per_day=2)
        assert create.create_generation(read_before, generation_request()).generation.status == "queued"
        assert reconcile.check(alice.tenant.pk) == []


def generation_request() -> GenerationRequest:
    """Return a valid request."""
    body = {"image": "https://images.example.com/a.png", "resolution": "480p", "seed": 1}
    model = video_models.default()
    return GenerationRequest(model, request_check.check(model, body))


def test_old_minutes_are_deleted_and_the_counters_still_agree_with_the_ledger(alice: Caller) -> None:
    now = at("2026-11-24 12:00")
    for hours in (5, 3, 0):
        with time_machine.travel(now - timedelta(hours=hours), tick=False):
            make_generation(alice)
    with time_machine.travel(now, tick=False):
        assert counters.delete_old_minutes(now, dry=True) == counters.delete_old_minutes(now) == 4
        minutes = Window.objects.filter(kind="requests_per_minute").values_list("starts_at", flat=True)
        assert set(minutes) == {now}
        assert reconcile.check(alice.tenant.pk) == []
