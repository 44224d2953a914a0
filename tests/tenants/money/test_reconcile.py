"""The ledger is the truth: `manage.py ledger` compares the counters with the ledger, and sets them right."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from generations import lifecycle
from tenants.models import AuditEntry, Window
from tenants.money import reconcile
from tests.generations.test_lifecycle import put_in
from tests.support.factories import ACTOR, Caller, make_generation


def ledger(*args: str) -> tuple[int, Any]:
    """Run the command with --json. Return the exit status and the differences."""
    out = io.StringIO()
    try:
        call_command("ledger", *args, "--json", stdout=out)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, json.loads(out.getvalue())["differences"]


def test_after_every_kind_of_end_the_counters_are_the_fold(alice: Caller, bob: Caller) -> None:
    for status in ("queued", "running", "in_doubt", "succeeded", "failed"):
        put_in(alice, status)
    lifecycle.fail(make_generation(bob), "code", "Why.")
    assert ledger("check") == (0, [])


def test_a_wrong_counter_is_named_and_set_right(alice: Caller) -> None:
    put_in(alice, "succeeded")
    Window.objects.filter(kind="per_day", api_key=None).update(used=9)
    code, [difference] = ledger("check")
    assert code == 1
    assert (difference["tenant"], difference["window"], difference["counter"], difference["ledger"]) == (
        "alice",
        "per_day",
        9,
        1,
    )
    assert ledger("rebuild", "--reason", "a restored backup") == (0, [difference])
    assert ledger("check") == (0, [])
    [entry] = AuditEntry.objects.filter(action="rebuild counters")
    assert (entry.tenant, entry.target, entry.reason) == (alice.tenant, "alice", "a restored backup")
    assert entry.actor.startswith("shell:")
    [counter] = entry.changes["counters"]
    assert (counter["kind"], counter["counter"], counter["ledger"]) == ("per_day", 9, 1)
    assert ledger("rebuild") == (0, [])
    assert AuditEntry.objects.filter(action="rebuild counters").count() == 1


def test_a_lost_counter_is_restored(alice: Caller) -> None:
    put_in(alice, "queued")
    Window.objects.all().delete()
    assert len(reconcile.rebuild(alice.tenant.pk, ACTOR)) == 12
    assert ledger("check") == (0, [])


def test_without_json_it_prints_a_sentence(alice: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    put_in(alice, "queued")
    call_command("ledger", "check")
    assert "Every counter agrees with the ledger." in capsys.readouterr().out
