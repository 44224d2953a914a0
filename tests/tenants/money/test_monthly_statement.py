"""`manage.py tenant bill` prints the month's bill and writes it as CSV."""

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from generations import lifecycle
from tenants import actions, amounts, audit, csv_export
from tenants.models import LedgerEntry, Window
from tenants.money import ledger, monthly_statement
from tests.generations.test_lifecycle import VIDEO
from tests.support import attempts
from tests.support.factories import ACTOR, Caller, make_generation

NOVEMBER = date(2026, 11, 5)


def buy(caller: Caller, at: str, end: str = "capture", account: str = "novita", **facts: Any) -> None:
    """Create a generation at that time, and let it succeed (capture), fail (release), or not end at all (hold)."""
    g = make_generation(caller, created_at=datetime.fromisoformat(at).replace(tzinfo=UTC), **facts)
    if end == "release":
        lifecycle.fail(g, "code", "Why.")
    elif end == "capture":
        attempt = attempts.start_submitting(g, account)
        assert attempt is not None
        assert lifecycle.mark_running(g, attempt, f"up-{g.pk}", 2)
        assert attempts.start_copying(g, None)
        assert lifecycle.mark_succeeded(g, VIDEO)


def test_it_lists_purchases_and_not_what_was_released(alice: Caller) -> None:
    for _ in range(2):
        buy(alice, "2026-11-03 10:00")
    buy(alice, "2026-11-03 11:00", duration=10, price_micro=176_000)
    buy(alice, "2026-11-04 10:00", "release")
    buy(alice, "2026-11-30 23:59", "hold")
    statement = monthly_statement.build(alice.tenant, NOVEMBER)
    assert [(row["item"], row["generations"], row["seconds"], row["usd"]) for row in statement.rows] == [
        ("seedance-v1-lite-i2v 480p 10 s", 1, 10, "0.176000"),
        ("seedance-v1-lite-i2v 480p 5 s", 2, 10, "0.176418"),
    ]
    assert (statement.total_micro, statement.held, statement.held_micro) == (352_418, 1, 88_209)


def test_it_adds_up_by_model(alice: Caller, tmp_path: Path, capsys: Any) -> None:
    buy(alice, "2026-11-03 10:00")
    buy(alice, "2026-11-04 10:00", duration=10, price_micro=176_000)
    buy(alice, "2026-11-03 10:00", duration=3, model="kling-v3.0-std-t2v")
    buy(alice, "2026-11-03 10:00", "hold")
    with time_machine.travel(datetime(2026, 11, 20, tzinfo=UTC), tick=False):
        actions.adjust(audit.Actor(name="ops", reason="credit"), alice.tenant, -1)
    models = [
        {"model": "kling-v3.0-std-t2v", "generations": 1, "seconds": 3, "usd": "0.252000"},
        {"model": "seedance-v1-lite-i2v", "generations": 2, "seconds": 15, "usd": "0.264209"},
    ]
    path = tmp_path / "bill.csv"
    command = ("tenant", "bill", "alice", "--month", "2026-11", "--csv", str(path))
    call_command(*command, "--json")
    assert json.loads(capsys.readouterr().out)["models"] == models
    call_command(*command)
    printed = capsys.readouterr().out.partition("By model:\n")[2].splitlines()
    assert [line.split() for line in printed[:2]] == [
        ["kling-v3.0-std-t2v", "1", "videos", "3", "s", "0.252000", "USD"],
        ["seedance-v1-lite-i2v", "2", "videos", "15", "s", "0.264209", "USD"],
    ]
    head, *rows = csv.reader(path.read_text().splitlines())
    assert head == ["day", "key", "label", "item", "unit_usd", "generations", "seconds", "usd", "model", "account"]
    assert [row[-2] for row in rows] == ["kling-v3.0-std-t2v", "seedance-v1-lite-i2v", "seedance-v1-lite-i2v", ""]


def test_it_adds_up_by_account(alice: Caller, tmp_path: Path, capsys: Any) -> None:
    for account in ("novita", "ark", "ark"):
        buy(alice, "2026-11-03 10:00", account=account)
    of_the_release_before = make_generation(alice, created_at=datetime(2026, 11, 3, 11, tzinfo=UTC))
    ledger.capture(of_the_release_before.pk)
    with time_machine.travel(datetime(2026, 11, 20, tzinfo=UTC), tick=False):
        actions.adjust(audit.Actor(name="ops", reason="credit"), alice.tenant, -1)
    path = tmp_path / "bill.csv"
    command = ("tenant", "bill", "alice", "--month", "2026-11", "--csv", str(path))
    call_command(*command, "--json")
    assert json.loads(capsys.readouterr().out)["accounts"] == [
        {"account": "", "generations": 1, "seconds": 5, "usd": "0.088209"},
        {"account": "ark", "generations": 2, "seconds": 10, "usd": "0.176418"},
        {"account": "novita", "generations": 1, "seconds": 5, "usd": "0.088209"},
    ]
    call_command(*command)
    printed = capsys.readouterr().out.partition("By account:\n")[2].splitlines()
    assert [line.split()[:3] for line in printed[:3]] == [
        ["not", "recorded", "1"],
        ["ark", "2", "videos"],
        ["novita", "1", "videos"],
    ]
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["account"], row["generations"]) for row in rows] == [
        ("", "1"),
        ("ark", "2"),
        ("novita", "1"),
        ("", "0"),
    ]


def test_a_capture_and_a_release_name_the_account_and_a_hold_does_not(alice: Caller) -> None:
    buy(alice, "2026-11-03 10:00", account="ark")
    buy(alice, "2026-11-03 10:00", "release")  # it was never sent
    tried = make_generation(alice)
    assert attempts.start_submitting(tried, "ark")
    assert lifecycle.fail(tried, "code", "Why.")
    entries = LedgerEntry.objects.order_by("pk").values_list("kind", "account")
    assert list(entries) == [
        *[("hold", ""), ("capture", "ark")],
        *[("hold", ""), ("release", "")],
        *[("hold", ""), ("release", "ark")],
    ]


def test_a_month_is_the_tenants_own(alice: Caller) -> None:
    alice.tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Europe/Berlin")
    buy(alice, "2026-10-31 22:59")
    buy(alice, "2026-10-31 23:01")
    assert [row["day"] for row in monthly_statement.build(alice.tenant, NOVEMBER).rows] == ["2026-11-01"]


def test_the_bill_and_the_budget_agree(alice: Caller) -> None:
    """The bill and the open holds add up to what the month's budget counts."""
    with time_machine.travel(datetime(2026, 11, 20, tzinfo=UTC), tick=False):
        for end in ("capture", "release", "hold", "capture"):
            buy(alice, "2026-11-20 00:00", end)
        actions.adjust(audit.Actor(name="ops", reason="=credit"), alice.tenant, -1)
    statement = monthly_statement.build(alice.tenant, NOVEMBER)
    used = Window.objects.get(kind="usd_per_month", api_key=None).used
    assert statement.total_micro + statement.held_micro == used
    assert statement.rows[-1]["item"] == "adjustment: =credit"


def test_a_carry_over_to_another_time_zone_is_on_no_bill(alice: Caller) -> None:
    with time_machine.travel(datetime(2026, 11, 30, 12, tzinfo=UTC), tick=False):
        buy(alice, "2026-11-30 12:00")
        alice.tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Pacific/Auckland")
        assert monthly_statement.build(alice.tenant, NOVEMBER).total_micro == 88_209
        assert monthly_statement.build(alice.tenant, date(2026, 12, 1)).total_micro == 0


def test_a_later_change_of_time_zone_moves_nothing_to_another_bill(alice: Caller) -> None:
    buy(alice, "2026-10-31 20:00")
    alice.tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Tokyo")
    assert monthly_statement.build(alice.tenant, date(2026, 10, 1)).total_micro == 88_209
    assert monthly_statement.build(alice.tenant, NOVEMBER).total_micro == 0


def test_the_command_prints_the_bill_and_writes_csv(alice: Caller, tmp_path: Path, capsys: Any) -> None:
    buy(alice, "2026-11-03 10:00")
    buy(alice, "2026-11-03 10:00", "hold")
    path = tmp_path / "bill.csv"
    call_command("tenant", "bill", "alice", "--month", "2026-11", "--csv", str(path))
    printed = capsys.readouterr().out
    for text in (
        "Statement for alice, 2026-11 (UTC)",
        "Total: 0.088209 USD",
        "Not final: 1 generations have not ended, and hold 0.088209 USD",
    ):
        assert text in printed
    [row] = csv.DictReader(path.read_text().splitlines())
    assert (row["key"], row["generations"], row["usd"]) == (alice.key.prefix, "1", "0.088209")
    call_command("tenant", "bill", "alice", "--month", "2026-10", "--csv", str(path), "--json")
    assert json.loads(capsys.readouterr().out)["total_usd"] == "0.000000"


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(cell: str) -> None:
    assert csv_export.render(["a"], [{"a": cell}]).splitlines()[1].lstrip('"').startswith("'")


def test_a_negative_amount_stays_a_number() -> None:
    assert csv_export.neutralize(amounts.format_usd(-5_000_000)) == "-5.000000"
