"""Ops' view of tenants, keys, the ledger and the audit log: it reads, and acts by `administration`'s verbs."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.views import ChangeList

from tenants import actions, amounts, times
from tenants.admin import action_page, forms, usage_bars
from tenants.admin.mixins import Long, ReadOnly
from tenants.errors import Refusal
from tenants.limits.windows import Kind
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Limits, Tenant

KEYS_SHOWN = 100  # on the page of a tenant; the list of keys has them all


class TenantList(ChangeList):
    """A page of tenants with what each has used now: one query for the windows of them all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = usage_bars.of_page(list(self.result_list), timezone.now())
        for tenant in self.result_list:
            tenant.bars = found[tenant.pk]


class MintsKeys:
    """Permissions by method: unfold looks for those given by name in the database, before it is migrated."""

    def has_mint_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("tenants.add_apikey")


class LimitsShown:
    """Money as USD, where a form or a list reads it of a row."""

    @display(description="USD per month")
    def usd_per_month(self, holder: Limits) -> str | None:
        micro = holder.usd_per_month_micro
        return None if micro is None else amounts.format_usd(micro)


@admin.register(Tenant)
class TenantAdmin(action_page.Acts, MintsKeys, LimitsShown, ModelAdmin):
    form = forms.TenantForm
    fieldsets = [
        (None, {"fields": ["name", "time_zone"]}),
        ("Limits", {"fields": forms.LIMITS, "description": "Empty: no limit."}),
        ("Its generations", {"fields": [*Tenant.GENERATION_POLICY_FIELDS]}),
        ("Why", {"fields": ["reason"]}),
    ]
    list_display = ["name", "suspended", "in_flight_now", "today", "this_month"]
    search_fields = ["name"]
    ordering = ["name"]
    actions_detail = ["mint_key", "adjust", "suspend", "resume"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[TenantList]:
        return TenantList

    @display(description="Suspended", ordering="suspended_at", label={"suspended": "danger"})
    def suspended(self, tenant: Tenant) -> str | None:
        return "suspended" if tenant.suspended_at else None

    @display(description="In flight / limit")
    def in_flight_now(self, tenant: Any) -> usage_bars.Bar:
        return tenant.bars[Kind.IN_FLIGHT]

    @display(description="Today / limit")
    def today(self, tenant: Any) -> usage_bars.Bar:
        return tenant.bars[Kind.PER_DAY]

    @display(description="USD this month / limit")
    def this_month(self, tenant: Any) -> usage_bars.Bar:
        return tenant.bars[Kind.USD_PER_MONTH]

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        """Who may only look is not asked why."""
        return self.fieldsets if obj is None or self.has_change_permission(request) else self.fieldsets[:-1]

    def get_form(self, request: HttpRequest, obj: Tenant | None = None, **options: Any) -> Any:
        form = super().get_form(request, obj, **options)
        form.refused = getattr(request, "refused", "")
        return form

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """What administration refuses, and all it had written, is taken back: the form says so when asked again."""
        try:
            return super().changeform_view(request, *args, **options)
        except Refusal as error:
            request.refused = str(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **options)

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        actor = action_page.act_of(request, form)
        if change:
            actions.change_tenant(actor, obj, **form.facts())
        else:
            obj.pk = actions.create_tenant(actor, **form.facts()).pk

    def log_addition(self, *args: Any) -> None:
        """The audit log has it; Django's own would be a second."""

    def log_change(self, *args: Any) -> None:
        """As log_addition."""

    def response_post_save_add(self, request: HttpRequest, obj: Tenant) -> HttpResponse:
        """On to where its keys are minted."""
        return HttpResponseRedirect(self.address_of(obj))

    def audit_query(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        return {"tenant__id__exact": object_id}

    def render_change_form(
        self, request: HttpRequest, context: Any, *, obj: Any = None, **options: Any
    ) -> HttpResponse:
        """With what the tenant has used and its keys, both as stored, whatever the form holds."""
        if obj:
            tenant = Tenant.objects.get(pk=obj.pk)
            newest = tenant.keys.order_by("-created_at", "-pk")[:KEYS_SHOWN]
            known = [(key, usage_bars.limits_of(key)) for key in newest]
            lists = {
                f"{model}_url": action_page.listed(model, tenant__id__exact=obj.pk)
                for model in ("auditentry", "apikey")
            }
            now = timezone.now()
            use = {"bars": usage_bars.of_tenant(tenant, now), "days": usage_bars.days(tenant, now)}
            context.update(tenant=tenant, known_keys=known, **use, **lists)
        return super().render_change_form(request, context, obj=obj, **options)

    def impossible(self, row: Tenant) -> tuple[str]:
        return ("suspend",) if row.suspended_at else ("resume",)

    mint_key = action_page.button(action_page.MINT, "key", permissions=["mint"], path="mint")
    adjust = action_page.button(action_page.ADJUST, "payments", "Adjust")
    suspend = action_page.button(action_page.SUSPEND, "block")
    resume = action_page.button(action_page.RESUME, "play_arrow")


class ReadOnlyAdmin(ReadOnly, ModelAdmin):
    @display(description="At", ordering="at")
    def when(self, entry: Any) -> str:
        """To the second, in UTC, which orders what was done by eye too."""
        return times.readable(entry.at, "seconds")


@admin.register(ApiKey)
class ApiKeyAdmin(action_page.Acts, MintsKeys, LimitsShown, ReadOnlyAdmin):
    list_display = ["prefix", "tenant", "label", "test", "scopes", "last_used_at", "expires_at", "revoked_at"]
    list_select_related = ["tenant"]
    list_filter = ["test"]
    search_fields = ["prefix", "label", "tenant__name"]
    fieldsets = [
        (None, {"fields": ["tenant", "prefix", "label", "test", "scopes"]}),
        ("Its own limits", {"fields": forms.LIMITS}),
        ("When", {"fields": ["created_at", "last_used_at", "expires_at", "revoked_at"]}),
    ]
    actions_detail = ["change_limits", "roll", "revoke"]

    def address_of(self, row: ApiKey) -> str:
        """The page of the tenant, where all that was done to it and its keys shows."""
        return reverse("admin:tenants_tenant_change", args=[row.tenant_id])

    def impossible(self, row: ApiKey) -> list[str]:
        return self.actions_detail if row.revoked_at else []

    def audit_query(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        return {"target__exact": self.row_of(request, object_id).prefix}

    change_limits = action_page.button(action_page.CHANGE_KEY, "tune", "Change", path="limits")
    # It makes a key as well: who may not mint one must not get one by rolling another's.
    roll = action_page.button(action_page.ROLL, "autorenew", "Roll", permissions=["act", "mint"])
    revoke = action_page.button(action_page.REVOKE, "key_off", "Revoke")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(Long, ReadOnlyAdmin):
    list_display = ["when", "tenant", "api_key", "test", "kind", "item", "usd", "generation_id", "reason"]
    list_select_related = ["tenant", "api_key"]
    list_filter = ["kind", "test", ("tenant", AutocompleteSelectFilter)]
    search_fields = ["generation_id"]  # that there is a box; get_search_results says what is found
    search_help_text = "By a generation's id, a tenant's name or a key's prefix."
    fields = [
        "when",
        "tenant",
        "api_key",
        "test",
        "kind",
        "item",
        "seconds",
        "usd",
        "generation_id",
        "windows",
        "reason",
    ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Each by an index of its own: together they would read the whole ledger."""
        return (queryset.filter(_entries_of(search_term.strip())) if search_term else queryset), False

    @display(description="USD")
    def usd(self, entry: LedgerEntry) -> str:
        return amounts.format_usd(entry.amount_micro)


def _entries_of(term: str) -> Q:
    try:  # an adjustment is of no generation, and not in the index by generation
        return Q(generation_id=UUID(term)) & ~Q(kind=LedgerEntry.Kind.ADJUST)
    except ValueError:
        keys = ApiKey.objects.filter(prefix=term).values_list("pk", flat=True)
        tenants = Tenant.objects.filter(name__iexact=term).values_list("pk", flat=True)
        return Q(api_key__in=list(keys)) | Q(tenant__in=list(tenants))


@admin.register(AuditEntry)
class AuditEntryAdmin(Long, ReadOnlyAdmin):
    list_display = ["when", "actor", "action", "tenant", "target", "changes", "reason"]
    list_select_related = ["tenant"]
    list_filter = ["action"]
    fields = ["when", "actor", "action", "tenant", "target", "changes", "reason"]
    search_fields = ["actor", "action", "tenant__name", "target", "reason"]
