"""The audit log, the ledger and the keys are lists to read and search."""

from typing import Any

from tenants import actions, audit
from tenants.models import LedgerEntry
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.tenants.admin.forms import address


def test_the_audit_log_is_newest_first_searchable_and_read_only(
    admin_client: Client, alice: Caller, bob: Caller
) -> None:
    actions.suspend(audit.Actor(name="carol", reason="unpaid since May"), bob.tenant)
    page = address("auditentry_changelist")
    first = admin_client.get(page).context["cl"].result_list[0]
    assert (first.actor, first.action) == ("carol", "suspend")

    def search(**query: Any) -> list[str]:
        return [row.action for row in admin_client.get(page, query).context["cl"].result_list]

    assert search(q="since May") == ["suspend"]
    assert search(action="mint key") == ["mint key", "mint key"]
    assert admin_client.post(address("auditentry_change", first), {"reason": "x"}).status_code == 403
    assert admin_client.get(address("auditentry_add")).status_code == 403
    assert admin_client.post(address("auditentry_delete", first), {"post": "yes"}).status_code == 403


def test_a_page_links_to_the_audit_entries_of_its_row(admin_client: Client, alice: Caller, bob: Caller) -> None:
    link = f"{address('auditentry_changelist')}?tenant__id__exact={alice.tenant.pk}"
    assert link in admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert {row.tenant for row in admin_client.get(link).context["cl"].result_list} == {alice.tenant}
    assert admin_client.get(address("tenant_history", alice.tenant))["Location"] == link
    entries = admin_client.get(address("apikey_history", alice.key), follow=True).context["cl"].result_list
    assert [row.target for row in entries] == [alice.key.prefix]


def test_keys_and_ledger_entries_are_read_only(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    entry = LedgerEntry.objects.get()
    page = admin_client.get(address("ledgerentry_changelist")).content.decode()
    assert f"0.{entry.amount_micro:06d}" in page
    assert alice.key.prefix in page
    assert alice.key.prefix in admin_client.get(address("apikey_changelist"), {"test__exact": "0"}).content.decode()
    assert alice.key.digest not in admin_client.get(address("apikey_change", alice.key)).content.decode()
    for model, row in (("apikey", alice.key), ("ledgerentry", entry)):
        assert admin_client.get(address(f"{model}_change", row)).status_code == 200
        assert admin_client.post(address(f"{model}_change", row), {}).status_code == 403
        assert admin_client.get(address(f"{model}_add")).status_code == 403
        assert admin_client.post(address(f"{model}_delete", row), {"post": "yes"}).status_code == 403
