"""The bars on a tenant's page show the current usage of each limit."""

import re

from tenants import actions
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
from tests.tenants.admin.forms import (
    address,
)


def bar(page: str, name: str) -> dict[str, str]:
    """Return the ARIA attributes of a limit's bar, and the width of the used part."""
    [svg] = [svg for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if f'aria-label="{name}"' in svg]
    return {**dict(re.findall(r'(aria-\w+)="(.*?)"', svg)), "width": re.findall(r'<rect width="(.*?)"', svg)[1]}


def test_bars_show_current_usage(admin_client: Client, alice: Caller) -> None:
    alice.limit(in_flight=2, per_day=8, usd_per_month_micro=1_000_000)
    price = sum(make_generation(alice).price_micro for _ in range(2))
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    in_flight = bar(page, "In flight")
    assert (in_flight["aria-valuenow"], in_flight["aria-valuemax"], in_flight["width"]) == ("2", "2", "100%")
    assert bar(page, "Per day")["width"] == "25%"
    assert "6 remaining" in page
    usd = bar(page, "USD per month")
    assert (usd["aria-valuenow"], usd["aria-valuemax"]) == (f"0.{price:06d}", "1.000000")
    unlimited = bar(page, "Per month")
    assert (unlimited["aria-valuetext"], unlimited["width"]) == ("2 / no limit", "0%")
    assert "aria-valuemax" not in unlimited


def test_a_lowered_limit_and_a_limit_of_zero_are_full(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    make_generation(alice)
    alice.limit(in_flight=1, per_day=0)
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert (bar(page, "In flight")["width"], bar(page, "Per day")["width"]) == ("100%", "100%")


def test_a_window_resets_by_the_tenants_clock(admin_client: Client, alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Tokyo")
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert re.search(r"resets \d{4}-\d\d-01 00:00 JST", page)
