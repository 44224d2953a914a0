"""The panel's pages of the ledger: holds, captures, releases and adjustments, to read and search."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from tenants import amounts, times
from tenants.admin.billing import BillingPagesMixin
from tenants.admin.exports import ExportMixin
from tenants.admin.filters import ChoicesFilter, DaysFilter, ModeFilter
from tenants.admin.mixins import EntryTimeMixin, LongListMixin, ModeMixin, ReadOnlyMixin, TenantLinkMixin, format_mode
from tenants.models import ApiKey, LedgerEntry, Tenant

Kind = LedgerEntry.Kind
# The sign says what the entry does to the tenant's bill and to the use of the limits: a hold adds to what is held, a
# release takes it away, and a capture says what the hold became.
SIGNS = {Kind.HOLD: "+", Kind.CAPTURE: "=", Kind.RELEASE: "−"}
COLUMNS = (
    "id",
    "at",
    "tenant",
    "key",
    "mode",
    "kind",
    "usd",
    "item",
    "seconds",
    "account",
    "generation",
    "month",
    "reason",
)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(
    BillingPagesMixin, ExportMixin, EntryTimeMixin, TenantLinkMixin, ModeMixin, LongListMixin, ReadOnlyMixin, ModelAdmin
):
    """List ledger entries, newest first."""

    ordering = ("-at", "-pk")
    export_file, export_audited_as = "ledger.csv", "export ledger"
    export_columns = {
        **{name: name for name in COLUMNS},
        "tenant": "tenant__name",
        "key": "api_key__prefix",
        "mode": "test",
        "usd": "amount_micro",
        "generation": "generation_id",
    }

    list_display = ["time", "tenant", "key", "mode", "kind", "item", "account", "usd", "generation_id", "reason"]
    list_select_related = ["tenant", "api_key"]
    list_filter = [
        ("at", DaysFilter),
        ("kind", ChoicesFilter),
        ("test", ModeFilter),
        ("tenant", AutocompleteSelectFilter),
    ]
    list_filter_submit = True  # for the days
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
        """Return the entry's amount in USD, with the sign of its kind."""
        return format_amount(entry)

    def export_row(self, columns: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row of the file: times by RFC 3339, the mode as a word, and the amount in USD without a sign."""
        row = dict(zip(self.export_columns, columns, strict=True))
        row |= {
            "at": times.rfc3339(row["at"]),
            "mode": format_mode(test=row["mode"]),
            "usd": amounts.format_usd(row["usd"]),
        }
        return tuple(row.values())


def format_amount(entry: LedgerEntry) -> str:
    """Return the amount in USD with two to six decimals, and with the sign of the entry's kind."""
    if entry.kind == Kind.ADJUST:
        return amounts.format_short(entry.amount_micro, signed=True)
    return f"{SIGNS[Kind(entry.kind)]}\u202f{amounts.format_short(entry.amount_micro)}"


def _entries_of(term: str) -> Q:
    try:  # an adjustment has no generation and is not in the index by generation
        return Q(generation_id=UUID(term)) & ~Q(kind=LedgerEntry.Kind.ADJUST)
    except ValueError:
        keys = ApiKey.objects.filter(prefix=term).values_list("pk", flat=True)
        tenants = Tenant.objects.filter(name__iexact=term).values_list("pk", flat=True)
        return Q(api_key__in=list(keys)) | Q(tenant__in=list(tenants))
