"""Tests of admission and record: each limit admits exactly its number, and windows start at their times."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from generations import lifecycle
from generations.models import Generation
from tenants.errors import BudgetReached, LimitReached
from tenants.limits import windows
from tenants.models import LedgerEntry, Window
from tests.support.factories import Caller, make_generation

NOW = datetime(2026, 11, 23, 14, 5, 30, tzinfo=UTC)


def test_windows_start_with_the_minute_the_day_and_the_month_in_utc() -> None:
    starts = {charge.kind.value: charge.starts_at for charge in windows.charges(5, 10, NOW, ZoneInfo("UTC"))}
    assert starts["requests_per_minute"] == datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    assert starts["per_day"] == datetime(2026, 11, 23, tzinfo=UTC)
    assert starts["per_month"] == starts["usd_per_month"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert starts["in_flight"] == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("limit", ["requests_per_minute", "in_flight", "per_day", "per_month"])
def test_as_many_as_the_limit_are_admitted_and_one_more_is_refused(alice: Caller, limit: str) -> None:
    alice.limit(**{limit: 2})
    for _ in range(2):
        make_generation(alice, created_at=NOW)
    with pytest.raises(LimitReached, match=limit), transaction.atomic():
        make_generation(alice, created_at=NOW)
    assert Generation.objects.count() == LedgerEntry.objects.count() == 2
    assert set(Window.objects.filter(kind__in=["in_flight", "per_day"]).values_list("used", flat=True)) == {2}


def test_a_held_price_counts_towards_the_budget(alice: Caller) -> None:
    alice.limit(usd_per_month_micro=200_000)
    for _ in range(2):
        make_generation(alice)  # 88,209 micro-USD each
    with pytest.raises(BudgetReached, match=r"0\.176418 of 0\.200000 USD"), transaction.atomic():
        make_generation(alice)


@pytest.mark.parametrize("limit", ["requests_per_minute", "in_flight", "per_day", "usd_per_month_micro"])
def test_a_limit_of_zero_admits_nothing(alice: Caller, limit: str) -> None:
    alice.limit(**{limit: 0})
    with pytest.raises(LimitReached), transaction.atomic():
        make_generation(alice)


def test_a_lowered_limit_applies_to_the_next_admission(alice: Caller) -> None:
    for _ in range(3):
        make_generation(alice)
    alice.limit(in_flight=3)
    with pytest.raises(LimitReached), transaction.atomic():
        make_generation(alice)


def test_a_failed_generation_releases_its_charges(alice: Caller) -> None:
    alice.limit(in_flight=1, per_day=1)
    lifecycle.fail(make_generation(alice), "code", "Why.")
    assert make_generation(alice).status == "queued"


def test_each_tenant_has_counters_of_its_own(alice: Caller, bob: Caller) -> None:
    for caller in (alice, bob):
        caller.limit(in_flight=1)
        make_generation(caller)
    assert Generation.objects.count() == 2


def test_each_month_has_a_window_of_its_own(alice: Caller) -> None:
    alice.limit(per_month=1)
    make_generation(alice, created_at=datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    make_generation(alice, created_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert Window.objects.filter(kind="per_month", api_key=None, used=1).count() == 2
