"""The panel's pages of tenants: current usage, limits and keys, and the actions on a tenant."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from tenants import actions, amounts, locks, signals
from tenants.admin import action_page, forms, keys, usage_bars
from tenants.admin.action_page import ActionPage
from tenants.admin.billing import statement_url
from tenants.admin.guards import Stale
from tenants.admin.mixins import AllowListsMixin, UsdLimitMixin, filtered_list_url, may_view_list
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import DoneBefore, Refusal
from tenants.limits import windows
from tenants.limits.windows import Kind
from tenants.models import Tenant

MAX_LISTED_KEYS = 100  # on a tenant's page; the list of keys has all of them


# The lists that a tenant's page leads to, by the model.
LISTS = {
    "generations.generation": "Generations",
    "generations.seedrecord": "Seed log",
    "tenants.ledgerentry": "Ledger",
    "generations.webhookendpoint": "Endpoints",
    "generations.delivery": "Deliveries",
    "tenants.apikey": "API keys",
    "generations.limitwarning": "Limit warnings",
    "tenants.refusalcount": "Refused creates",
    "tenants.auditentry": "Audit entries",
}


def suspend(actor: Actor, tenant: Tenant, cancel_queued: bool) -> str:
    """Suspend the tenant. Return what was done, as a sentence."""
    count = actions.suspend(actor, tenant, cancel_queued=cancel_queued)
    return f"Suspend: done for {tenant}." + keys.describe_cancelled(cancel_queued, count)


SUSPEND = ActionPage(
    "Suspend",
    "New generations are refused and queued ones are held. What was sent upstream finishes, and videos stay available.",
    keys.CancelQueuedForm,
    suspend,
    "danger",
)
RESUME = ActionPage(
    "Resume", "New generations are accepted again, and queued ones go on.", forms.ActionForm, actions.resume
)
ADJUST = ActionPage(
    "Adjust bill",
    "The amount is added to this month's bill and to the usage of this month's USD limit.",
    forms.AdjustForm,
    actions.adjust,
)


LISTS_APPLY = "A request has to pass the list of the tenant and the list of its key."


class TenantList(ChangeList):
    """A page of tenants, each with its current usage: one query reads the usage windows of all, and one the holds."""

    root_queryset: Any

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Return the tenants of the search, with the USD of this month, by which they can be sorted."""
        self.root_queryset = usage_bars.with_month(self.root_queryset, clock.now())
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        """Read the page of tenants and attach the usage bars to each tenant."""
        super().get_results(request)
        listed = list(self.result_list)
        bars = usage_bars.for_tenants(listed, clock.now())
        answers: Any = signals.holds_listed.send(type(self), tenants=listed)
        held = {pk: micro for _, micro_by_tenant in answers for pk, micro in micro_by_tenant.items()}
        for tenant in self.result_list:
            tenant.bars, tenant.held_micro = bars[tenant.pk], held.get(tenant.pk, 0)


@admin.register(Tenant)
class TenantAdmin(
    action_page.ActionPagesMixin, keys.CreateKeyPermissionMixin, AllowListsMixin, UsdLimitMixin, ModelAdmin
):
    """List tenants with their usage, create and change tenants, and offer the actions on a tenant."""

    form = forms.TenantForm
    fieldsets = [
        (None, {"fields": ["name", "time_zone"]}),
        ("Limits", {"fields": forms.LIMIT_FIELDS, "description": "Empty: no limit."}),
        (
            "Allowed models and networks",
            {"fields": [*Tenant.ALLOW_LISTS], "description": LISTS_APPLY},
        ),
        ("Generation policy", {"fields": [*Tenant.GENERATION_POLICY_FIELDS]}),
        ("Reason", {"fields": ["reason", "form_token", "loaded"]}),
    ]
    list_display = ["name", "suspended", "in_flight_now", "today", "this_month", "held"]
    search_fields = ["name"]
    ordering = ["name"]
    actions_detail = ["create_key", "adjust", "suspend", "resume"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the ledger and the audit log refer to every tenant."""
        return False

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[TenantList]:
        """Return the list that reads the usage of its tenants."""
        return TenantList

    @display(description="Suspended", ordering="suspended_at", label={"suspended": "danger"})
    def suspended(self, tenant: Tenant) -> str | None:
        """Return "suspended", or None for a tenant that is not."""
        return "suspended" if tenant.suspended_at else None

    @display(description="In flight / limit")
    def in_flight_now(self, tenant: Any) -> usage_bars.Bar:
        """Return the usage of the limit of generations in flight."""
        return tenant.bars[Kind.IN_FLIGHT]

    @display(description="Today / limit")
    def today(self, tenant: Any) -> usage_bars.Bar:
        """Return the usage of the limit of generations per day."""
        return tenant.bars[Kind.PER_DAY]

    @display(description="USD this month, with holds / limit", ordering="month_micro")
    def this_month(self, tenant: Any) -> usage_bars.Bar:
        """Return the usage of the limit in USD per month."""
        return tenant.bars[Kind.USD_PER_MONTH]

    @display(description="USD held now")
    def held(self, tenant: Any) -> str:
        """Return what is held for generations in progress."""
        return amounts.format_usd(tenant.held_micro)

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        """Return the fieldsets; for a user who may only view, without the reason, and with the lists as text."""
        if obj is None or self.has_change_permission(request):
            return self.fieldsets
        as_text: Any = dict(zip(Tenant.ALLOW_LISTS, self.LIST_COLUMNS, strict=True))
        fieldsets: Any = self.fieldsets[:-1]
        return [
            (title, {**options, "fields": [as_text.get(name, name) for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def get_form(self, request: HttpRequest, obj: Tenant | None = None, **options: Any) -> Any:
        """Return the form's class, with the refusal of this request's first attempt, if there was one."""
        form = super().get_form(request, obj, **options)
        form.refusal = getattr(request, "refusal", "")
        return form

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **options: Any) -> Any:
        """Serve the form. If `tenants.actions` refuses, its transaction is rolled back and the form shows why."""
        if done := self.report_done(request, self.get_object(request, object_id) if object_id else None):
            return HttpResponseRedirect(done)
        try:
            return super().changeform_view(request, object_id, *args, **options)
        except (Refusal, Stale, DoneBefore) as error:
            # The next attempt reads the row again, and finds out what is stored by now or that the form has acted.
            request.refusal = str(error) if isinstance(error, Refusal) else ""  # type: ignore[attr-defined]
            return self.changeform_view(request, object_id, *args, **options)

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        """Create or change the tenant by `tenants.actions`, which writes the audit entry."""
        actor = action_page.actor_of(request, form)
        if change:
            form.raise_if_stale(type(form)(instance=locks.lock_tenant(obj.pk)))
            actions.change_tenant(actor, obj, **form.arguments())
        else:
            obj.pk = actions.create_tenant(actor, **form.arguments()).pk

    def response_post_save_add(self, request: HttpRequest, obj: Tenant) -> HttpResponse:
        """Redirect to the new tenant's page, where keys are created."""
        return HttpResponseRedirect(self.row_url(obj))

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Filter the audit log by tenant: entries about the tenant's keys and generations are included."""
        return {"tenant__id__exact": object_id}

    def render_change_form(
        self, request: HttpRequest, context: Any, *, obj: Any = None, **options: Any
    ) -> HttpResponse:
        """Render the form with the tenant's usage and keys, both as stored, whatever the form contains."""
        if obj:
            context.update(_page_context(Tenant.objects.get(pk=obj.pk)))
            context["links"] = [link[1:] for link in context["links"] if may_view_list(request, link[0])]
        return super().render_change_form(request, context, obj=obj, **options)

    def unavailable_actions(self, row: Tenant) -> tuple[str]:
        """Return the one action of suspend and resume that would change nothing."""
        return ("suspend",) if row.suspended_at else ("resume",)

    create_key = action_page.button(keys.CREATE, "key", permissions=["create_key"], path="mint")
    adjust = action_page.button(ADJUST, "payments")
    suspend = action_page.button(SUSPEND, "block")
    resume = action_page.button(RESUME, "play_arrow")


def url_by_spend() -> str:
    """Return the address of the list, in which those come first who used most of this month's USD."""
    column = TenantAdmin.list_display.index("this_month")
    return reverse("admin:tenants_tenant_changelist", query={ORDER_VAR: f"-{column}"})


def _page_context(tenant: Tenant) -> dict[str, Any]:
    now = clock.now()
    newest_keys = tenant.keys.order_by("-created_at", "-pk")[:MAX_LISTED_KEYS]
    return {
        "tenant": tenant,
        "keys": [(key, [*usage_bars.limits_of(key), *keys.lists_of(key)]) for key in newest_keys],
        "bars": usage_bars.for_tenant(tenant, now),
        "days": usage_bars.chart_of_days(tenant, now),
        "apikey_url": filtered_list_url("apikey", tenant__id__exact=tenant.pk),
        "links": [*_links(tenant, now)],
    }


def _links(tenant: Tenant, now: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield the pages about a tenant: the model whose list the user has to be allowed to view, title and address."""
    yield "tenants.ledgerentry", "Statement", statement_url(tenant, windows.month(now, tenant.zone))
    for model, title in LISTS.items():
        name = f"admin:{model.replace('.', '_')}_changelist"
        yield model, title, reverse(name, query={"tenant__id__exact": tenant.pk})
