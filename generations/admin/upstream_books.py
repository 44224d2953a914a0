"""The panel's pages of the upstream's books: balances, bills beside the ledger, and the models of billed products."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Min
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold import widgets
from unfold.admin import ModelAdmin
from unfold.decorators import display

from generations.catalog import video_models
from generations.models import BilledProduct, UpstreamBill, UpstreamBooks
from generations.ops import upstream_books
from generations.reports import bill_comparison
from tenants import amounts, audit, csv_export, times
from tenants.admin import action_page
from tenants.admin.action_page import ActionPage, ActionPagesMixin
from tenants.admin.filters import DaysFilter
from tenants.admin.forms import ActionForm
from tenants.admin.mixins import LongListMixin, ReadOnlyMixin, TenantReadersMixin
from tenants.audit import Actor
from tenants.db import clock

NOT_OURS, UNKNOWN = "-", ""  # choices of the form beside the models
COLUMNS = ["account", "start", "name", "billed_usd", "charged_usd", "difference_usd"]
COLUMNS += ["billed_units", "videos", "uncharged_tasks"]


class BooksMixin(TenantReadersMixin, ReadOnlyMixin):
    """Let every role that may view tenants view the books, and the roles of billing act on them."""

    def has_action_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may view the ledger."""
        return request.user.has_perm("tenants.view_ledgerentry")


@admin.register(UpstreamBill)
class UpstreamBillAdmin(BooksMixin, LongListMixin, ModelAdmin):
    """List the rows of the bills, and compare them with the ledger by month, day and hour."""

    list_display = ["hour", "account", "product", "owner", "usd", "units", "read_at"]
    list_display_links = None
    list_filter = [("hour", DaysFilter), "account"]
    list_filter_submit = True
    search_fields = ["product"]

    def get_urls(self) -> list[Any]:
        """Add the pages of the comparison."""
        pages: dict[str, Callable[..., Any]] = {"comparison": self.comparison, "comparison_csv": self.comparison_csv}
        own = [
            path(
                f"{name.replace('_', '/')}/", self.admin_site.admin_view(page), name=f"generations_upstreambill_{name}"
            )
            for name, page in pages.items()
        ]
        return [*own, *super().get_urls()]

    @display(description="USD")
    def usd(self, bill: UpstreamBill) -> str:
        """Return the amount in USD."""
        return amounts.format_short(bill.amount_micro)

    def comparison(self, request: HttpRequest) -> HttpResponse:
        """Show bills and ledger of the month of the query by day, or of the day of the query by hour."""
        since, until, step = self._span(request)
        month = since.date().replace(day=1)
        title = f"Upstream bills, {since:%Y-%m-%d}" if step == "hour" else f"Upstream bills, {since:%B %Y}"
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "content_title": title,
            "books": UpstreamBooks.objects.order_by("pk"),
            "groups": list(_groups(since, until, step)),
            "step": step,
            "month": month,
            "months": _months(month),
            "csv_url": f"{reverse('admin:generations_upstreambill_comparison_csv')}?{request.GET.urlencode()}",
            "month_url": comparison_url(month=f"{month:%Y-%m}"),
            "rows_url": reverse("admin:generations_upstreambill_changelist"),
            "products_url": reverse("admin:generations_billedproduct_changelist"),
        }
        return TemplateResponse(request, "generations/upstream_bills.html", context)

    def comparison_csv(self, request: HttpRequest) -> HttpResponseBase:
        """Return the same lines as CSV."""
        since, until, step = self._span(request)
        name = f"upstream-bills-{since:%Y-%m-%d}.csv" if step == "hour" else f"upstream-bills-{since:%Y-%m}.csv"
        audit.record(Actor(name=request.user.get_username()), "export bill", None, name, {})
        compared = bill_comparison.compare_read(since, until, step)
        rows = (bill_comparison.as_row(books.account, line) for books, lines in compared for line in lines)
        return csv_export.respond(name, COLUMNS, ([row[column] for column in COLUMNS] for row in rows))

    def _span(self, request: HttpRequest) -> tuple[datetime, datetime, str]:
        """Return start and end of what the query asks for, and the step: a month by day, or a day by hour.

        Raise Http404 for a text that is no month or day, and for a user who may not view the page.
        """
        if not self.has_view_permission(request):
            raise Http404
        try:
            if day := request.GET.get("day"):
                since = datetime.combine(date.fromisoformat(day), time(), UTC)
                return since, since + timedelta(days=1), "hour"
            text = request.GET.get("month")
            month = times.parse_month(text) if text else clock.now().date().replace(day=1)
        except (ValueError, OverflowError) as error:
            raise Http404 from error
        return _midnight(month), _midnight((month + timedelta(days=31)).replace(day=1)), "day"


def comparison_url(**query: str) -> str:
    """Return the address of the comparison."""
    return reverse("admin:generations_upstreambill_comparison", query=query)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _groups(since: datetime, until: datetime, step: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of each account with their sums, and the addresses of the days."""
    for books, lines in bill_comparison.compare_read(since, until, step):
        lines.sort(key=lambda line: line.start, reverse=True)
        sums = {
            name: sum(getattr(line, name) for line in lines)
            for name in ("billed_micro", "charged_micro", "difference_micro", "units", "videos", "uncharged")
        }
        urls = [comparison_url(day=f"{line.start:%Y-%m-%d}") if step == "day" else "" for line in lines]
        yield {"account": books.account, "lines": list(zip(lines, urls, strict=True)), "sums": sums}


def _months(chosen: date) -> list[date]:
    """Return the months to choose from, the newest first, and `chosen`."""
    now = clock.now().date().replace(day=1)
    first = UpstreamBooks.objects.aggregate(first=Min("first_hour"))["first"]
    return times.months_between(min(first.date() if first else now, chosen), max(now, chosen))


class ModelForm(ActionForm):
    """Ask which model's videos a product bills."""

    model = forms.ChoiceField(
        choices=[
            (UNKNOWN, "not known"),
            *((name, name) for name in sorted(video_models.models())),
            (NOT_OURS, "no model: not used by this service"),
        ],
        required=False,
        help_text="Its bills are compared with the charges for this model. What others use is not compared.",
        widget=widgets.UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, row: BilledProduct, **options: Any) -> None:
        super().__init__(*args, row=row, **options)
        self.initial["model"] = row.model if row.is_ours else NOT_OURS


def set_model(actor: Actor, row: BilledProduct, model: str) -> None:
    """Set which model's videos the product bills."""
    upstream_books.set_model(actor, row, "" if model == NOT_OURS else model, is_ours=model != NOT_OURS)


SET_MODEL = ActionPage(
    "Set model", "Say which model's videos the upstream bills as this product.", ModelForm, set_model
)


@admin.register(BilledProduct)
class BilledProductAdmin(BooksMixin, ActionPagesMixin, ModelAdmin):
    """List the products that were on a bill, each with its model."""

    list_display = ["product", "account", "shown_model", "seen_at"]
    list_display_links = ["product"]
    ordering = ["account", "product"]
    fields = ["product", "account", "shown_model", "seen_at"]
    readonly_fields = fields
    actions_detail = ["set_model"]
    set_model = action_page.button(SET_MODEL, "sell")

    @display(description="Model")
    def shown_model(self, row: BilledProduct) -> str:
        """Return the model, or why there is none."""
        return row.model or ("not known" if row.is_ours else "none: used by others")

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Filter the audit log by the product's name."""
        return {"target__exact": self.get_row(request, object_id).product}
