"""`manage.py tenant` sets the lists of models and networks of tenants and keys."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tenants.keys.lookup import find_key
from tenants.known_models import known_models
from tenants.models import AuditEntry, Tenant
from tests.tenants.management.test_tenant import prefix_of, tenant

pytestmark = pytest.mark.django_db

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"


@pytest.fixture(autouse=True)
def _models(monkeypatch: Any) -> None:
    """Let the catalogue have two models."""
    monkeypatch.setattr(known_models, "_source", lambda: [LITE, PRO])


def test_a_tenant_and_a_key_are_created_with_lists() -> None:
    tenant("create", "alice", "--models", f"{LITE},{PRO}", "--networks", "10.0.0.0/8, 2001:db8::7")
    key = tenant("key", "alice", "--models", PRO, "--networks", "all")["api_key"]
    lists = {"allowed_models": [LITE, PRO], "allowed_networks": ["10.0.0.0/8", "2001:db8::7/128"]}
    assert Tenant.objects.get().allow_lists == lists
    assert find_key(key).allow_lists == {"allowed_models": [PRO], "allowed_networks": []}
    [row] = tenant("list")["tenants"]
    assert {name: row[name] for name in lists} == lists
    rows = {entry["prefix"]: entry for entry in row["keys"]}
    assert (rows[prefix_of(key)]["allowed_models"], rows[prefix_of(key)]["allowed_networks"]) == ([PRO], [])


def test_lists_are_changed_and_removed_and_each_is_left_alone_without_its_option() -> None:
    key = tenant("create", "alice", "--models", LITE)["api_key"]
    assert tenant("limit", "alice", "--networks", "192.0.2.7")["allowed_networks"] == ["192.0.2.7/32"]
    row = tenant("limit", "alice", "--models", "all", "--per-day", "3")
    assert (row["allowed_models"], row["allowed_networks"]) == ([], ["192.0.2.7/32"])
    row = tenant("limit", key, "--models", PRO, "--networks", "::1")
    assert (row["allowed_models"], row["allowed_networks"]) == ([PRO], ["::1/128"])
    assert tenant("limit", key, "--models", "all", "--networks", "all")["allowed_models"] == []
    assert find_key(key).allow_lists == {"allowed_models": [], "allowed_networks": []}
    assert AuditEntry.objects.latest("pk").changes == {
        "allowed_models": [[PRO], []],
        "allowed_networks": [["::1/128"], []],
    }


def test_people_read_the_lists_too(capsys: pytest.CaptureFixture[str]) -> None:
    key = tenant("create", "alice", "--networks", "192.0.2.0/24,10.0.0.0/8")["api_key"]
    call_command("tenant", "limit", key, "--models", PRO)
    assert f"{prefix_of(key)}: no limits, models: {PRO}" in capsys.readouterr().out
    call_command("tenant", "list")
    printed = capsys.readouterr().out
    assert "alice: no limits, networks: 192.0.2.0/24, 10.0.0.0/8; keys:" in printed
    assert f"{prefix_of(key)} (models: {PRO})" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "sora"], "The models are"),
        (["--models", ""], "separated by commas"),
        (["--models", f"all,{LITE}"], "separated by commas"),
        (["--networks", " , "], "separated by commas"),
        (["--networks", "192.0.2.7/24"], "Write 192.0.2.0/24"),
        (["--networks", "none"], "is no network"),
    ],
    ids=["unknown", "empty", "all and more", "only a comma", "host bits", "none"],
)
def test_a_wrong_list_changes_nothing(options: list[str], words: str) -> None:
    tenant("create", "alice", "--models", LITE)
    with pytest.raises(CommandError, match=words):
        tenant("limit", "alice", *options)
    with pytest.raises(CommandError, match=words):
        tenant("create", "bob", *options)
    assert [row.allow_lists for row in Tenant.objects.all()] == [{"allowed_models": [LITE], "allowed_networks": []}]
