"""The ledger is the truth: the counters are compared with it, and mended by it."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from generations import lifecycle
from tenants.models import Window
from tenants.money import reconcile
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation


def ledger(*args: str) -> tuple[int, Any]:
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


def test_a_wrong_counter_is_named_and_mended(alice: Caller) -> None:
    put_in(alice, "succeeded")
    Window.objects.filter(kind="per_day", api_key=None).update(used=9)
    code, [found] = ledger("check")
    assert code == 1
    assert (found["tenant"], found["window"], found["counter"], found["ledger"]) == ("alice", "per_day", 9, 1)
    assert ledger("rebuild") == (0, [found])
    assert ledger("check") == (0, [])


def test_a_lost_counter_is_made_again(alice: Caller) -> None:
    put_in(alice, "queued")
    Window.objects.all().delete()
    assert len(reconcile.rebuild(alice.tenant.pk)) == 12
    assert ledger("check") == (0, [])


def test_people_read_a_sentence(alice: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    put_in(alice, "queued")
    call_command("ledger", "check")
    assert "Every counter is what the ledger says." in capsys.readouterr().out
