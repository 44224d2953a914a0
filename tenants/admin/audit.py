"""The panel's pages of the audit log: the operators' actions with their reasons, to read and search."""

import json

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants import masked_urls
from tenants.admin.mixins import EntryTimeMixin, LongListMixin, ReadOnlyMixin, TenantLinkMixin
from tenants.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(EntryTimeMixin, TenantLinkMixin, LongListMixin, ReadOnlyMixin, ModelAdmin):
    """List audit entries, newest first."""

    list_display = ["time", "actor", "action", "tenant", "target", "masked_changes", "reason"]
    list_select_related = ["tenant"]
    list_filter = ["action"]
    fields = ["time", "actor", "action", "tenant", "target", "masked_changes", "reason"]
    search_fields = ["actor", "action", "tenant__name", "target", "reason"]

    @display(description="Changes")
    def masked_changes(self, entry: AuditEntry) -> str:
        """Return the changes as JSON. Entries of earlier releases have whole URLs, which may hold a token."""
        return json.dumps(masked_urls.mask_all(entry.changes), ensure_ascii=False)
