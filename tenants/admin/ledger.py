"""The panel's pages of the ledger: holds, captures, releases and adjustments, to read and search."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from tenants import amounts
from tenants.admin.filters import ChoicesFilter, ModeFilter
from tenants.admin.mixins import EntryTimeMixin, LongListMixin, ModeMixin, ReadOnlyMixin
from tenants.models import ApiKey, LedgerEntry, Tenant


@admin.register(LedgerEntry)
class LedgerEntryAdmin(EntryTimeMixin, ModeMixin, LongListMixin, ReadOnlyMixin, ModelAdmin):
    """List ledger entries, newest first."""

    list_display = ["time", "tenant", "key", "mode", "kind", "item", "account", "usd", "generation_id", "reason"]
    list_select_related = ["tenant", "api_key"]
    list_filter = [("kind", ChoicesFilter), ("test", ModeFilter), ("tenant", AutocompleteSelectFilter)]
    search_fields = ["generation_id"]  # makes Django show the search box; get_search_results does the search
    search_help_text = "Search by generation id, tenant name or key prefix."
    fields = [
        *("time", "tenant", "api_key", "mode", "kind", "item", "seconds", "account", "usd", "generation_id"),
        *("windows", "reason"),
    ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by one index for each kind of term: all conditions at once would read the whole ledger."""
        return (queryset.filter(_entries_of(search_term.strip())) if search_term else queryset), False

    @display(description="API key")
    def key(self, entry: LedgerEntry) -> str | None:
        """Return the prefix of the entry's key, or None if the entry concerns no key."""
        return entry.api_key.prefix if entry.api_key else None

    @display(description="USD")
    def usd(self, entry: LedgerEntry) -> str:
        """Return the entry's amount in USD with six decimals."""
        return amounts.format_usd(entry.amount_micro)


def _entries_of(term: str) -> Q:
    try:  # an adjustment has no generation and is not in the index by generation
        return Q(generation_id=UUID(term)) & ~Q(kind=LedgerEntry.Kind.ADJUST)
    except ValueError:
        keys = ApiKey.objects.filter(prefix=term).values_list("pk", flat=True)
        tenants = Tenant.objects.filter(name__iexact=term).values_list("pk", flat=True)
        return Q(api_key__in=list(keys)) | Q(tenant__in=list(tenants))
