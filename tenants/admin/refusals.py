"""The panel's page of refused creates: which tenants and keys were refused by which limit, in a chosen period."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from tenants.admin import periods
from tenants.admin.mixins import ReadOnlyMixin, TenantReadersMixin, filtered_list_url
from tenants.db import clock
from tenants.limits import refusals, windows
from tenants.limits.windows import Kind
from tenants.models import RefusalCount, Tenant

MAX_LISTED_ROWS = 200
TENANT = "tenant__id__exact"  # the parameter of all lists by tenant


@dataclass(frozen=True)
class Row:
    """The number of creates that one limit refused to a tenant, or to one of a tenant's keys."""

    name: str  # the tenant's, or the key's prefix
    url: str  # the page of that, if the user may view it
    limit: str
    refused: int
    last: datetime  # start of the latest hour in which the limit refused something
    keys_url: str = ""  # the same by key


@admin.register(RefusalCount)
class RefusalCountAdmin(TenantReadersMixin, ReadOnlyMixin, ModelAdmin):
    """Show the refusals of all tenants by limit, or those of one tenant by key and limit."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Serve the page for the tenant and the period of the query."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        period, tenant = periods.chosen(request), _tenant(request)
        since = clock.now() - periods.PERIODS[period]
        rows = _rows_of_keys(request, since, tenant, period) if tenant else _rows_of_tenants(since, period)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Refused creates of {tenant}" if tenant else "Refused creates",
            "period": period,
            "period_names": [*periods.PERIODS],
            "tenant": tenant,
            "rows": rows[:MAX_LISTED_ROWS],
            "is_cut": len(rows) > MAX_LISTED_ROWS,
            "all_url": filtered_list_url("refusalcount", period=period),
        }
        return TemplateResponse(request, "tenants/refusals.html", context)


def _rows_of_tenants(since: datetime, period: str) -> list[Row]:
    """Return a row for each tenant and limit, one more than are listed if there are more."""
    sums = refusals.read(since, "tenant_id", "tenant__name")[: MAX_LISTED_ROWS + 1]
    return [
        Row(
            row["tenant__name"],
            reverse("admin:tenants_tenant_change", args=[row["tenant_id"]]),
            _limit_title(row["limit_name"]),
            row["refused_sum"],
            row["last"],
            filtered_list_url("refusalcount", **{TENANT: row["tenant_id"], "period": period}),
        )
        for row in sums
    ]


def _rows_of_keys(request: HttpRequest, since: datetime, tenant: Tenant, period: str) -> list[Row]:
    """Return a row for each key of the tenant and limit."""
    sums = refusals.read(since, "api_key_id", "api_key__prefix", tenant=tenant)[: MAX_LISTED_ROWS + 1]
    is_linked = request.user.has_perm("tenants.view_apikey")
    return [
        Row(
            row["api_key__prefix"],
            reverse("admin:tenants_apikey_change", args=[row["api_key_id"]]) if is_linked else "",
            _limit_title(row["limit_name"]),
            row["refused_sum"],
            row["last"],
        )
        for row in sums
    ]


def _limit_title(limit_name: str) -> str:
    return "suspended" if limit_name == RefusalCount.SUSPENDED else windows.name_of(Kind(limit_name))


def _tenant(request: HttpRequest) -> Tenant | None:
    """Return the tenant that the query names, or None. Raise Http404 if there is no such tenant."""
    text = request.GET.get(TENANT, "")
    if not text:
        return None
    tenant = Tenant.objects.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if tenant is None:
        raise Http404
    return tenant
