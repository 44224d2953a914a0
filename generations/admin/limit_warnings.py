"""The panel's list of limits that tenants and keys have used up to a share, newest first."""

from typing import Any

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from generations.models import LimitWarning
from tenants.admin.filters import ChoicesFilter
from tenants.admin.mixins import EntryTimeMixin, LongListMixin, ReadOnlyMixin, TenantLinkMixin, TenantReadersMixin
from tenants.limits import windows
from tenants.limits.windows import Kind


@admin.register(LimitWarning)
class LimitWarningAdmin(EntryTimeMixin, TenantLinkMixin, LongListMixin, TenantReadersMixin, ReadOnlyMixin, ModelAdmin):
    """List the warnings; a row leads to the tenant, whose page shows the present usage."""

    list_display = ["time", "tenant", "key", "share", "limit_name", "used_amount", "limit_amount", "ends_at"]
    list_display_links = None
    list_select_related = ["tenant", "api_key"]
    list_filter = [("kind", ChoicesFilter), ("tenant", AutocompleteSelectFilter)]

    @display(description="API key")
    def key(self, warning: LimitWarning) -> str | None:
        """Return the prefix of the key whose limit it is; None for a limit of the whole tenant."""
        return warning.api_key.prefix if warning.api_key else None

    @display(description="Share reached", label=True)
    def share(self, warning: LimitWarning) -> str:
        """Return the share of the limit."""
        return f"{warning.percent} %"

    @display(description="Limit")
    def limit_name(self, warning: LimitWarning) -> str:
        """Return the limit's name."""
        return windows.name_of(Kind(warning.kind))

    @display(description="Used")
    def used_amount(self, warning: LimitWarning) -> Any:
        """Return what was used when the warning was written."""
        return windows.format_amount(Kind(warning.kind), warning.used)

    @display(description="Of")
    def limit_amount(self, warning: LimitWarning) -> Any:
        """Return the limit at that time."""
        return windows.format_amount(Kind(warning.kind), warning.limit)
