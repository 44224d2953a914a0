"""The lists of models and networks have only what can be meant, in one writing."""

from typing import Any

import pytest

from tenants import actions, allowed_values, name_lists
from tenants.errors import NotPossible
from tenants.known_models import KnownModels, known_models
from tenants.models import AuditEntry, Tenant
from tests.support.factories import ACTOR, Caller

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"


@pytest.fixture(autouse=True)
def _models(monkeypatch: Any) -> None:
    """Let the catalogue have two models."""
    monkeypatch.setattr(known_models, "_source", lambda: [LITE, PRO])


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/32", "192.0.2.7/32"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_stored_in_one_writing(written: str, stored: str) -> None:
    assert allowed_values.check_networks([written, written]) == [stored]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("192.0.2.7/24", "Write 192.0.2.0/24 for the network, or 192.0.2.7 for the one address"),
        ("2001:db8::7/32", "Write 2001:db8::/32 for the network, or 2001:db8::7 for the one address"),
        ("::ffff:192.0.2.7/120", "Write 192.0.2.0/24 for the network, or 192.0.2.7 for"),
        ("192.0.2.7/24.", "is no network"),
        ("192.0.2.0/33", "is no network"),
        ("192.0.2", "is no network"),
        ("192.0.2.0/", "is no network"),
        ("/24", "is no network"),
        ("1", "is no network"),
        ("010.0.0.1", "is no network"),
        ("example.com", "is no network"),
        ("fe80::1%eth0", "interface"),
        ("x" * 1000, "is no network"),
    ],
    ids=range(13),
)
def test_what_is_no_network_is_refused_with_what_was_meant(written: str, words: str) -> None:
    with pytest.raises(NotPossible, match=words) as caught:
        allowed_values.check_networks([written])
    assert len(str(caught.value)) < 300


def test_a_list_has_a_hundred_items() -> None:
    networks = [f"10.0.{number}.0/24" for number in range(101)]
    assert len(allowed_values.check_networks(networks[:100])) == 100
    with pytest.raises(NotPossible, match="at most 100 networks; this one has 101"):
        allowed_values.check_networks(networks)


def test_an_unknown_model_is_refused_with_those_that_are_known() -> None:
    assert allowed_values.check_models([PRO, LITE, PRO]) == [PRO, LITE]
    with pytest.raises(NotPossible, match=rf"no model 'sora'. The models are: {LITE}, {PRO}\."):
        allowed_values.check_models([LITE, "sora"])


def test_a_listed_model_that_left_the_catalogue_stays_and_comes_to_no_other_list(
    alice: Caller, bob: Caller, monkeypatch: Any
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    monkeypatch.setattr(known_models, "_source", lambda: [LITE])
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO, LITE])
    assert Tenant.objects.get(pk=alice.tenant.pk).allowed_models == [PRO, LITE]
    with pytest.raises(NotPossible):
        actions.change_tenant(ACTOR, bob.tenant, allowed_models=[PRO])
    with pytest.raises(NotPossible):
        actions.create_key(ACTOR, alice.tenant, allow_lists={"allowed_models": [PRO]})


def test_a_change_has_an_audit_entry_with_before_and_after(alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[LITE], allowed_networks=["192.0.2.7"])
    assert AuditEntry.objects.latest("pk").changes == {
        "allowed_models": [[], [LITE]],
        "allowed_networks": [[], ["192.0.2.7/32"]],
    }
    actions.change_key(ACTOR, alice.key, allowed_networks=["2001:db8::/32"])
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.target) == ("change key", alice.key.prefix)
    assert entry.changes == {"allowed_networks": [[], ["2001:db8::/32"]]}
    actions.change_key(ACTOR, alice.key, allowed_networks=["2001:DB8::/32"])
    assert AuditEntry.objects.latest("pk").pk == entry.pk  # the same network
    actions.change_key(ACTOR, alice.key, allowed_networks=[])
    assert AuditEntry.objects.latest("pk").changes == {"allowed_networks": [["2001:db8::/32"], []]}


def test_new_tenants_and_keys_have_their_lists_in_the_audit(db: None) -> None:
    tenant = actions.create_tenant(ACTOR, "carol", allowed_models=[LITE], allowed_networks=["192.0.2.7"])
    changes = AuditEntry.objects.latest("pk").changes
    assert (changes["allowed_models"], changes["allowed_networks"]) == ([LITE], ["192.0.2.7/32"])
    actions.create_key(ACTOR, tenant, allow_lists={"allowed_networks": ["::1"]})
    changes = AuditEntry.objects.latest("pk").changes
    assert changes["allowed_networks"] == ["::1/128"]
    assert "allowed_models" not in changes


def test_names_are_separated_by_commas_and_line_ends() -> None:
    assert name_lists.split(" a,b\r\nc ,\n, a d") == ["a", "b", "c", "d"]
    assert name_lists.split(" ,\n") == []
    assert name_lists.describe(["a", "b", "c"], 2) == "a, b and 1 more"
    assert name_lists.describe(["a", "b"], 2) == "a, b"


def test_the_catalogue_registers_its_models() -> None:
    assert KnownModels().ids() == []
    registered = KnownModels()
    registered.register(lambda: {"a": 1, "b": 2})
    assert registered.ids() == ["a", "b"]
