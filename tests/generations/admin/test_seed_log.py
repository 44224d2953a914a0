"""The seed log finds generations by seed across tenants and exports them as CSV."""

from typing import Any

import pytest
from django.urls import reverse

from tenants.models import AuditEntry
from tests.generations.admin.rows import SEEDS, list_ids, page_url
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff

pytestmark = pytest.mark.one_database


def test_a_seed_is_found_across_tenants_and_exported(admin_client: Client, alice: Caller, bob: Caller) -> None:
    mine = make_generation(alice, seed=42, prompt="=cmd|' /C calc'!A0", external_id="@evil", seed_source="drawn")
    theirs = make_generation(bob, seed=42, prompt='a "quoted", line\nbreak')
    make_generation(bob, seed=43)
    assert list_ids(admin_client, SEEDS, q="42") == {str(mine.pk), str(theirs.pk)}
    export = reverse("admin:generations_seedrecord_export")
    assert f'href="{export}?q=42"' in admin_client.get(SEEDS, {"q": "42"}).content.decode()
    response: Any = admin_client.get(export, {"q": "42"})
    assert response["Content-Type"].startswith("text/csv")
    entry = AuditEntry.objects.get(action="export seed log")
    assert (entry.actor, entry.tenant, entry.changes) == ("admin", None, {"filters": "q=42"})
    rows = response.content.decode().split("\r\n")
    assert rows[0].startswith("seed,seed_source,upstream_seed,id,tenant__name")
    assert len(rows) == 4  # a header, two rows, and nothing after the last line end
    assert f"42,drawn,,{mine.pk},alice,'@evil" in rows[2]
    assert "'=cmd|' /C calc'!A0" in rows[2]
    assert '"a ""quoted"", line\nbreak"' in rows[1]
    record_page = admin_client.get(reverse("admin:generations_seedrecord_change", args=[mine.pk]))
    assert record_page["Location"] == page_url(mine)


def test_a_user_without_permission_exports_nothing(alice: Caller) -> None:
    make_generation(alice)
    export = reverse("admin:generations_seedrecord_export")
    assert log_in_staff().get(export).status_code == 403
    assert not AuditEntry.objects.filter(action="export seed log").exists()
