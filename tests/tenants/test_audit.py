"""An audit entry belongs to a tenant or to none, and a form of the panel leaves only one."""

from datetime import timedelta

import pytest

from tenants import actions, audit
from tenants.errors import DoneBefore
from tenants.models import ApiKey, AuditEntry, LedgerEntry
from tests.support.factories import Caller

ACTOR = audit.Actor(name="carol", reason="by phone", form_token="t1")


def test_an_action_that_concerns_all_tenants_has_an_entry(db: None) -> None:
    audit.record(audit.Actor(name="carol"), "pause", None, "live", {})
    audit.record(audit.Actor(name="carol"), "resume", None, "live", {})
    assert [(entry.action, entry.tenant) for entry in AuditEntry.objects.order_by("pk")] == [
        ("pause", None),
        ("resume", None),
    ]


def test_a_form_that_has_acted_acts_no_more(alice: Caller) -> None:
    actions.adjust(ACTOR, alice.tenant, 1_000_000)
    with pytest.raises(DoneBefore):
        actions.adjust(ACTOR, alice.tenant, 1_000_000)
    assert LedgerEntry.objects.filter(tenant=alice.tenant).count() == 1
    entry = audit.find_by_form("t1")
    assert entry is not None
    assert (entry.action, entry.actor) == ("adjust", "carol")
    assert audit.find_by_form("t2") is None


def test_an_action_with_two_entries_is_one_act_of_its_form(alice: Caller) -> None:
    actions.roll_key(ACTOR, alice.key, timedelta(hours=1))
    with pytest.raises(DoneBefore):
        actions.roll_key(ACTOR, alice.key, timedelta(hours=2))
    assert ApiKey.objects.filter(tenant=alice.tenant).count() == 2
