"""`manage.py tenant` creates and changes tenants and keys from the shell."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from tenants.errors import InvalidKey
from tenants.keys.lookup import find_key
from tenants.models import AuditEntry, Tenant

pytestmark = pytest.mark.django_db


def tenant(*args: str) -> Any:
    """Run the command with --json and return the printed object."""
    out = io.StringIO()
    call_command("tenant", *args, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_tenant_is_created_with_its_limits_and_a_key() -> None:
    limits = ["--requests-per-minute", "1", "--in-flight", "2", "--per-day", "3", "--per-month", "4"]
    created = tenant("create", "alice", *limits, "--usd-per-month", "12.5")
    assert list(created) == ["tenant", "api_key"]
    alice = Tenant.objects.get(name="alice")
    assert find_key(created["api_key"]).tenant == alice
    assert (alice.requests_per_minute, alice.in_flight, alice.per_day, alice.per_month) == (1, 2, 3, 4)
    assert alice.usd_per_month_micro == 12_500_000


def test_without_options_a_tenant_has_no_limits() -> None:
    tenant("create", "alice")
    alice = Tenant.objects.get()
    assert {alice.in_flight, alice.per_day, alice.per_month, alice.usd_per_month_micro} == {None}


def test_a_tenant_may_have_several_keys_and_one_of_them_be_revoked() -> None:
    first = tenant("create", "alice")["api_key"]
    second = tenant("key", "alice")["api_key"]
    assert tenant("revoke", find_key(first).prefix) == {"tenant": "alice", "revoked": prefix_of(first)}
    with pytest.raises(InvalidKey):
        find_key(first)
    assert find_key(second).tenant.name == "alice"


def prefix_of(key: str) -> str:
    """Return the prefix of a key's text."""
    return key.rpartition("_")[0]


def test_the_list_shows_tenants_limits_and_keys_but_no_key_whole() -> None:
    key = tenant("create", "alice", "--per-day", "3")["api_key"]
    [row] = tenant("list")["tenants"]
    assert (row["tenant"], row["limits"]["per_day"]) == ("alice", 3)
    [entry] = row["keys"]
    assert (entry["prefix"], entry["revoked_at"], entry["last_used_at"]) == (prefix_of(key), None, None)


def test_a_whole_key_can_be_revoked_and_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    key = tenant("create", "alice")["api_key"]
    call_command("tenant", "revoke", key)
    assert key not in capsys.readouterr().out
    with pytest.raises(InvalidKey):
        find_key(key)
    with pytest.raises(CommandError) as caught:
        call_command("tenant", "revoke", key + "x")
    assert key not in str(caught.value)


def test_a_rolled_key_and_its_successor_are_both_valid_for_a_while() -> None:
    tenant("create", "alice")
    old = tenant("key", "alice", "--label", "ci", "--scope", "generations:read")["api_key"]
    new = tenant("roll", find_key(old).prefix, "--overlap", "2h")["api_key"]
    assert (find_key(new).label, find_key(new).scopes, find_key(new).expires_at) == ("ci", ["generations:read"], None)
    with time_machine.travel(timezone.now() + timedelta(minutes=119)):
        assert find_key(old)
    with time_machine.travel(timezone.now() + timedelta(minutes=121)):
        assert find_key(new)
        with pytest.raises(InvalidKey):
            find_key(old)


def test_a_roll_does_not_extend_an_expiry_and_does_not_restore_a_revoked_key() -> None:
    tenant("create", "alice")
    short = tenant("key", "alice", "--expires", "30m")["api_key"]
    tenant("roll", short, "--overlap", "24h")
    with time_machine.travel(timezone.now() + timedelta(minutes=31)), pytest.raises(InvalidKey):
        find_key(short)
    tenant("revoke", short)
    with pytest.raises(CommandError, match="revoked"):
        tenant("roll", short)


def test_limits_of_a_tenant_and_of_a_key_are_changed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    key = tenant("create", "alice", "--per-day", "3", "--usd-per-month", "12.5")["api_key"]
    limits = tenant("limit", "alice", "--per-day", "none", "--seconds-per-month", "60")["limits"]
    assert (limits["per_day"], limits["seconds_per_month"], limits["usd_per_month_micro"]) == (None, 60, 12_500_000)
    assert tenant("limit", key, "--in-flight", "2")["limits"]["in_flight"] == 2
    call_command("tenant", "list")
    assert "alice: seconds_per_month=60, usd_per_month=12.500000; keys: sds_live_" in capsys.readouterr().out


def test_a_tenant_is_suspended_and_resumed_with_audit_entries() -> None:
    tenant("create", "alice")
    assert tenant("suspend", "alice", "--reason", "overdue")["suspended"] is True
    assert tenant("list")["tenants"][0]["suspended_at"]
    tenant("resume", "alice")
    entries = AuditEntry.objects.order_by("pk").values_list("action", "reason")
    assert list(entries)[-2:] == [("suspend", "overdue"), ("resume", "")]
    assert AuditEntry.objects.filter(actor__startswith="shell:").count() == AuditEntry.objects.count()


def test_a_test_key_is_created_where_there_is_a_sandbox_and_refused_with_a_message_elsewhere(settings: Any) -> None:
    tenant("create", "alice")
    settings.SANDBOX_BASE_URL = ""
    with pytest.raises(CommandError, match="SANDBOX_BASE_URL is empty"):
        tenant("key", "alice", "--test")
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:8001"
    assert tenant("key", "alice", "--test")["api_key"].startswith("sds_test_")


def test_a_key_that_expires_at_once_is_refused() -> None:
    tenant("create", "alice")
    with pytest.raises(InvalidKey):
        find_key(tenant("key", "alice", "--expires", "0m")["api_key"])


def test_a_key_has_no_time_zone_of_its_own() -> None:
    key = tenant("create", "alice")["api_key"]
    with pytest.raises(CommandError, match="limits of its own"):
        tenant("limit", key, "--time-zone", "Europe/Berlin")


def test_a_label_is_shown_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    tenant("create", "alice")
    tenant("key", "alice", "--label", "staging")
    call_command("tenant", "list")
    assert "(staging)" in capsys.readouterr().out


def test_without_json_it_prints_sentences() -> None:
    out = io.StringIO()
    call_command("tenant", "create", "alice", stdout=out)
    assert "API key, shown only once: sds_live_" in out.getvalue()
    call_command("tenant", "list", stdout=out)
    assert "alice: no limits; keys: sds_live_" in out.getvalue()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["create", "alice"], "already"),
        (["create", ""], "1 to 100"),
        (["create", "x" * 101], "1 to 100"),
        (["create", "a\nb"], "1 to 100"),
        (["create", "b", "--in-flight", "-1"], "whole number"),
        (["create", "b", "--per-day", "1.5"], "whole number"),
        (["create", "b", "--per-day", "99999999999"], "whole number"),
        (["create", "b", "--usd-per-month", "x"], "amount of USD"),
        (["create", "b", "--usd-per-month", "-1"], "amount of USD"),
        (["create", "b", "--usd-per-month", "0.0000001"], "amount of USD"),
        (["create", "b", "--usd-per-month", "nan"], "amount of USD"),
        (["key", "unknown"], "no tenant"),
        (["create", "b", "--time-zone", "Mars"], "time zone"),
        (["limit", "unknown", "--per-day", "1"], "no key"),
        (["limit", "alice", "--per-day", "-1"], "whole number"),
        (["limit", "alice", "--usd-per-month", "1e999999"], "amount of USD"),
        (["bill", "alice", "--month", "9999-12"], "such as 2026-11"),
        (["bill", "alice", "--month", "0001-01"], "such as 2026-11"),
        (["bill", "\udcff"], "UTF-8"),
        (["suspend", "unknown"], "no tenant"),
        (["resume", "alice"], "not suspended"),
        (["adjust", "alice", "--usd", "x", "--reason", "r"], "amount of USD"),
        (["bill", "unknown"], "no tenant"),
        (["bill", "alice", "--month", "November"], "such as 2026-11"),
        (["bill", "alice", "--csv", "/nowhere/bill.csv"], "can not be written"),
        (["key", "alice", "--expires", "soon"], "such as 30m"),
        (["key", "alice", "--scope", "everything"], "invalid choice"),
        (["roll", "sds_live_nothing"], "no key"),
        (["key", "alice", "--label", "x" * 101], "label"),
        (["revoke", "sds_live_nothing"], "no key"),
        ([], "required"),
    ],
)
def test_wrong_arguments_are_refused_with_a_message(args: list[str], message: str) -> None:
    Tenant.objects.create(name="alice")
    with pytest.raises(CommandError, match=message):
        call_command("tenant", *args)
    assert Tenant.objects.count() == 1
