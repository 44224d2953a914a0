"""The panel's pages of bills: all tenants' totals of a month, and a tenant's statement, each also as CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse

from tenants import amounts, audit, csv_export, times
from tenants.audit import Actor
from tenants.db import clock
from tenants.models import Tenant
from tenants.money import monthly_statement, monthly_totals
from tenants.money.monthly_totals import MonthlyTotal

COLUMNS = ["month", "tenant", "time_zone", "generations", "spent_usd", "adjusted_usd", "total_usd", "held_usd"]
COLUMNS += ["total_usd_of_month_before"]


@dataclass(frozen=True)
class Row:
    """A tenant's bill of a month, with the bill of the month before."""

    tenant: Tenant | None  # None: the sum of all tenants
    month: date
    total: MonthlyTotal
    before: MonthlyTotal

    @property
    def change(self) -> str:
        """The total against that of the month before, in percent; a dash where there was none."""
        before = self.before.total_micro
        return f"{(self.total.total_micro - before) / abs(before):+.0%}".replace("-", "−") if before else "–"

    @property
    def statement_url(self) -> str:
        """The address of the tenant's statement."""
        return statement_url(self.tenant, self.month) if self.tenant else ""


class BillingPagesMixin:
    """Serve the pages of bills below the list of ledger entries. Who may view the ledger may view them."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[Any]:
        """Add the addresses of the pages of bills and of their CSV files."""
        pages = {
            "ledgerentry_billing": ("billing/", self.billing),
            "ledgerentry_billing_csv": ("billing.csv", self.billing_csv),
            "tenant_statement": ("billing/<int:tenant_id>/", self.statement),
            "tenant_statement_csv": ("billing/<int:tenant_id>.csv", self.statement_csv),
        }
        view = self.admin_site.admin_view
        own = [path(address, view(page), name=f"tenants_{name}") for name, (address, page) in pages.items()]
        return [*own, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's

    def billing(self, request: HttpRequest) -> HttpResponse:
        """Show the bills of all tenants for the month of the query."""
        month = self._month(request)
        rows = _rows(month)
        context = {
            "rows": [row for row in rows if not (row.total.is_empty and row.before.is_empty)],
            "all": Row(None, month, _sum(row.total for row in rows), _sum(row.before for row in rows)),
            "before": times.month_before(month),
            "csv_url": reverse("admin:tenants_ledgerentry_billing_csv", query={"month": f"{month:%Y-%m}"}),
        }
        return self._render(request, "tenants/billing.html", f"Billing, {month:%B %Y}", month, context)

    def billing_csv(self, request: HttpRequest) -> HttpResponseBase:
        """Return the bills of all tenants for the month of the query as CSV."""
        month = self._month(request)
        return self._download(request, f"billing-{month:%Y-%m}.csv", COLUMNS, map(_csv_row, _rows(month)), None)

    def statement(self, request: HttpRequest, tenant_id: int) -> HttpResponse:
        """Show a tenant's statement for the month of the query."""
        tenant, month = _find_tenant(tenant_id), self._month(request)
        statement = monthly_statement.build(tenant, month)
        context = {
            "statement": statement,
            "tenant": tenant,
            "groups": [
                ("By model", "Model", _named(statement.models, "model")),
                ("By upstream account", "Account", _named(statement.accounts, "account")),
            ],
            "billing_url": billing_url(month),
            "csv_url": reverse(
                "admin:tenants_tenant_statement_csv", args=[tenant.pk], query={"month": f"{month:%Y-%m}"}
            ),
        }
        return self._render(request, "tenants/statement.html", f"{tenant.name}, {month:%B %Y}", month, context)

    def statement_csv(self, request: HttpRequest, tenant_id: int) -> HttpResponseBase:
        """Return a tenant's statement for the month of the query as CSV: the file of `manage.py tenant bill`."""
        tenant, month = _find_tenant(tenant_id), self._month(request)
        rows = (
            [row[name] for name in monthly_statement.COLUMNS] for row in monthly_statement.build(tenant, month).rows
        )
        name = monthly_statement.file_name(tenant, month)
        return self._download(request, name, monthly_statement.COLUMNS, rows, tenant)

    def _month(self, request: HttpRequest) -> date:
        """Return the first day of the month that the query names, or of the present month.

        Raise Http404 for a text that is no month, and for a user who may not view the ledger.
        """
        if not self.has_view_permission(request):  # type: ignore[attr-defined]  # ModelAdmin's
            raise Http404
        text = request.GET.get("month", "")
        try:
            return times.parse_month(text) if text else clock.now().date().replace(day=1)
        except ValueError as error:
            raise Http404 from error

    def _render(
        self, request: HttpRequest, template: str, title: str, month: date, context: dict[str, Any]
    ) -> HttpResponse:
        common = {"title": title, "content_title": title, "month": month, "months": _months(month)}
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **common, **context})

    def _download(
        self, request: HttpRequest, name: str, columns: list[str], rows: Iterator[Any], tenant: Tenant | None
    ) -> HttpResponseBase:
        audit.record(Actor(name=request.user.get_username()), "export bill", tenant, name, {})
        return csv_export.respond(name, columns, rows)


def billing_url(month: date) -> str:
    """Return the address of all tenants' bills of a month."""
    return reverse("admin:tenants_ledgerentry_billing", query={"month": f"{month:%Y-%m}"})


def statement_url(tenant: Tenant, month: date) -> str:
    """Return the address of a tenant's statement of a month."""
    return reverse("admin:tenants_tenant_statement", args=[tenant.pk], query={"month": f"{month:%Y-%m}"})


def _rows(month: date) -> list[Row]:
    """Return a row for each tenant: those with the highest bills first."""
    totals, before = monthly_totals.read(month), monthly_totals.read(times.month_before(month))
    empty = MonthlyTotal()
    rows = [
        Row(tenant, month, totals.get(tenant.pk, empty), before.get(tenant.pk, empty))
        for tenant in Tenant.objects.order_by("name")
    ]
    return sorted(rows, key=lambda row: -(row.total.total_micro + row.total.held_micro))


def _named(sums: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Return sums of a statement, each with its model or account as `name`."""
    return [{**row, "name": row[column]} for row in sums]


def _csv_row(row: Row) -> list[Any]:
    """Return COLUMNS."""
    total, tenant = row.total, row.tenant
    assert tenant is not None
    usd = (total.spent_micro, total.adjusted_micro, total.total_micro, total.held_micro, row.before.total_micro)
    return [f"{row.month:%Y-%m}", tenant.name, tenant.time_zone, total.generations, *map(amounts.format_usd, usd)]


def _sum(totals: Iterator[MonthlyTotal]) -> MonthlyTotal:
    return sum(totals, start=MonthlyTotal())


def _months(chosen: date) -> list[date]:
    """Return the months to choose from, the newest first: from the first bill's to the present one, and `chosen`."""
    now = clock.now().date().replace(day=1)
    return times.months_between(min(monthly_totals.first_month() or now, chosen), max(now, chosen))


def _find_tenant(tenant_id: int) -> Tenant:
    """Return the tenant. Raise Http404 if there is none."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        raise Http404
    return tenant
