"""Behaviour that several pages and lists of the panel share, as mixins for a ModelAdmin."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from tenants import amounts, times
from tenants.models import AllowLists, Limits

NO_TENANT = "-"


class ReadOnlyMixin:
    """Forbid adding, editing and deleting rows by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the panel adds no such row by a form."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the panel edits no such row by a form."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the panel deletes no such row."""
        return False


class TenantReadersMixin:
    """Show rows that say what a tenant's page says to those who may view tenants."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may view tenants."""
        return request.user.has_perm("tenants.view_tenant")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return the same, for the index."""
        return self.has_view_permission(request)


class LongListMixin:
    """List millions of rows, newest first: the list has a next page and no last page, so rows are never counted."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 30
    list_max_show_all = 0
    list_disable_select_all = True  # an action concerns only rows that the operator has seen
    ordering: Sequence[str] = ("-pk",)
    sortable_by = ()  # any other order would sort all rows


class ListButtonsMixin:
    """Let the buttons above a list take the list's search and filters with them."""

    actions_list: Sequence[str] = ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Serve the list."""
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]  # ModelAdmin's
        for button in getattr(response, "context_data", {}).get("actions_list", []):
            button["path"] = f"{button['path']}?{request.GET.urlencode()}"
        return response


class RowMixin:
    """Find a row and the addresses of pages about the row's model."""

    opts: Any
    get_object: Callable[..., Any]

    def get_row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row with this id. Raise Http404 if there is none."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def row_url(self, row: Any) -> str:
        """Return the address of the row's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])

    def list_url(self) -> str:
        """Return the address of the list of all rows."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


class AuditHistoryMixin(RowMixin):
    """Show the audit log as a row's history: Django's own history knows nothing of operators' actions."""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Redirect to the audit log, filtered to entries about this row."""
        return HttpResponseRedirect(filtered_list_url("auditentry", **self.audit_filter(request, object_id)))

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        """Write no log entry of Django's: the audit log has an entry."""

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        """Write no log entry of Django's: the audit log has an entry."""

    def log_deletions(self, request: Any, queryset: Any) -> Any:
        """Write no log entry of Django's: the audit log has an entry."""

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Return the query parameters that filter the audit log to entries about this row."""
        return {"target__exact": object_id}


class ModeMixin:
    """Show a row's boolean `test` as the word "live" or "test": an icon would make live look like an error."""

    @display(description="Mode", ordering="test", label={"test": "info"})
    def mode(self, row: Any) -> str:
        """Return "test" for a row of a test key, "live" for any other."""
        return format_mode(test=row.test)


class TenantLinkMixin:
    """Link a row's tenant to the tenant's page, in the list and on the row's page, for those who may view tenants.

    Others see the name alone: Django would link it on every page, and in no list.
    """

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns, with the link in the place of the tenant."""
        columns: Any = super().get_list_display(request)  # type: ignore[misc]  # ModelAdmin's
        return [self._tenant_field(request) if name == "tenant" else name for name in columns]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fieldsets, with the link in the place of the tenant."""
        fieldsets: Any = super().get_fieldsets(request, obj)  # type: ignore[misc]  # ModelAdmin's
        field = self._tenant_field(request)
        return [
            (title, {**options, "fields": [field if name == "tenant" else name for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def _tenant_field(self, request: HttpRequest) -> str:
        return "tenant_link" if may_view_list(request, "tenants.tenant") else "tenant_name"

    @display(description="Tenant", ordering="tenant__name")
    def tenant_link(self, row: Any) -> str:
        """Return a link to the tenant; "-" for a row that concerns no tenant."""
        if row.tenant is None:
            return NO_TENANT
        url = reverse("admin:tenants_tenant_change", args=[row.tenant_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, row.tenant.name)

    @display(description="Tenant", ordering="tenant__name")
    def tenant_name(self, row: Any) -> str:
        """Return the tenant's name; "-" for a row that concerns no tenant."""
        return row.tenant.name if row.tenant else NO_TENANT


class UsdLimitMixin:
    """Show the monthly limit of a tenant or a key in USD: the column holds micro-USD."""

    @display(description="USD per month")
    def usd_per_month(self, holder: Limits) -> str | None:
        """Return the limit in USD with six decimals, or None if there is no limit."""
        micro = holder.usd_per_month_micro
        return None if micro is None else amounts.format_usd(micro)


class AllowListsMixin:
    """Show the allowed models and networks of a tenant or a key, one a line."""

    LIST_COLUMNS: ClassVar = ("models", "networks")

    @display(description="Allowed models")
    def models(self, holder: AllowLists) -> str:
        """Return the ids on the list; "all" for an empty list."""
        return "\n".join(holder.allowed_models) or "all"

    @display(description="Allowed networks")
    def networks(self, holder: AllowLists) -> str:
        """Return the networks on the list; "all" for an empty list."""
        return "\n".join(holder.allowed_networks) or "all"


class EntryTimeMixin:
    """Show the time of a ledger or audit entry to the second."""

    @display(description="Time (UTC)", ordering="at")
    def time(self, entry: Any) -> str:
        """Return the entry's time in UTC, to the second: entries of one minute stay in a visible order."""
        return times.readable(entry.at, "seconds")


def may_view_list(request: HttpRequest, model: str) -> bool:
    """Return whether the user may view the list of the model, which is named such as "tenants.tenant"."""
    pages = admin.site._registry[apps.get_model(model)]
    return bool(pages.has_view_or_change_permission(request))


def filtered_list_url(model: str, **query: Any) -> str:
    """Return the address of the list of a tenants' model, filtered by `query`."""
    return reverse(f"admin:tenants_{model}_changelist", query=query)


def format_mode(*, test: bool) -> str:
    """Return "test" or "live"."""
    return "test" if test else "live"
