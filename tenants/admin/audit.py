"""The panel's pages of the audit log: the operators' actions with their reasons, to read and search."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from tenants.admin.mixins import EntryTimeMixin, LongListMixin, ReadOnlyMixin
from tenants.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(EntryTimeMixin, LongListMixin, ReadOnlyMixin, ModelAdmin):
    """List audit entries, newest first."""

    list_display = ["time", "actor", "action", "tenant", "target", "changes", "reason"]
    list_select_related = ["tenant"]
    list_filter = ["action"]
    fields = ["time", "actor", "action", "tenant", "target", "changes", "reason"]
    search_fields = ["actor", "action", "tenant__name", "target", "reason"]
