"""The pauses of submits in the panel, which operators order, and the cancelling of what a list's filter matches.

Who sees the status of the upstream sees the pauses, and who may act on generations pauses and resumes submits.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold import widgets
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from generations.catalog import video_models
from generations.models import Generation, ManualPause
from generations.ops import submit_pauses
from generations.upstream import manual_pauses
from tenants import times
from tenants.admin import action_page
from tenants.admin.action_page import ActionPage
from tenants.admin.forms import ActionForm
from tenants.admin.mixins import ListButtonsMixin, ReadOnlyMixin
from tenants.audit import Actor
from tenants.db import clock
from tenants.models import Tenant

Scope = ManualPause.Scope
ACCOUNT_NAMES = {"live": "All live accounts"}
CHOICES = [
    ("all", "All submits"),
    *((f"account {name}", ACCOUNT_NAMES.get(name, f"Account {name}")) for name in submit_pauses.account_targets()),
    ("tenant", "One tenant"),
    ("model", "One model"),
]


class PauseForm(ActionForm):
    """Ask which submits to pause."""

    what = forms.ChoiceField(choices=CHOICES, label="Submits", widget=widgets.UnfoldAdminSelectWidget)
    tenant = forms.ModelChoiceField(
        Tenant.objects.order_by("name"),
        required=False,
        help_text="For one tenant.",
        widget=widgets.UnfoldAdminSelectWidget,
    )
    model = forms.ChoiceField(
        choices=[("", "---------"), *((name, name) for name in sorted(video_models.models()))],
        required=False,
        help_text="For one model.",
        widget=widgets.UnfoldAdminSelectWidget,
    )

    def clean(self) -> None:
        """Refuse a tenant or a model that is missing, or that is not meant."""
        what = self.cleaned_data.get("what")
        for name in ("tenant", "model"):
            if what == name and not self.cleaned_data.get(name):
                self.add_error(name, "Choose one.")
            elif what != name and self.cleaned_data.get(name):
                self.add_error(name, "Leave this empty, or choose it above.")

    def arguments(self) -> dict[str, Any]:
        """Return scope and target."""
        scope, _, account = self.cleaned_data["what"].partition(" ")
        tenant = self.cleaned_data["tenant"]
        targets = {Scope.ACCOUNT: account, Scope.TENANT: str(tenant.pk) if tenant else ""}
        return {"scope": scope, "target": targets.get(scope, self.cleaned_data["model"])}


class FilterForm(ActionForm):
    """Remember when the page was opened: what is created after that was not counted, and is not cancelled."""

    until = forms.DateTimeField(widget=forms.HiddenInput, initial=clock.now)

    def clean_until(self) -> datetime:
        """Return when the page was opened. Refuse a time to come."""
        until: datetime = self.cleaned_data["until"]
        if until > clock.now():
            raise ValidationError("The time is to come.")
        return until


def pause_submits(actor: Actor, scope: str, target: str) -> str:
    """Pause submits. Return what the pause holds, as a sentence."""
    held = submit_pauses.pause_submits(actor, scope, target)
    return f"Submits are paused: {held.queued} queued generations are held, {held.submitting} are being submitted."


def resume_submits(actor: Actor, pause: ManualPause) -> str:
    """End a pause. Return how many generations waited, as a sentence."""
    return f"Submits go on: {submit_pauses.resume_submits(actor, pause.scope, pause.target)} generations waited."


def cancel_matching(actor: Actor, until: datetime, *, rows: QuerySet[Generation], facts: dict[str, Any]) -> str:
    """Cancel the queued generations among the rows that were created until then. Return how many, as a sentence."""
    tenant = Tenant.objects.filter(pk=facts["tenant"]).first() if facts.get("tenant") else None
    description = {**facts, "created_until": times.rfc3339(until, "seconds")}
    count = submit_pauses.cancel_queued(actor, _matching(rows, until), description, tenant)
    return f"{count} queued generations were cancelled, and their holds released."


def _matching(rows: QuerySet[Generation], until: datetime) -> Q:
    return Q(pk__in=rows.order_by().values("pk"), created_at__lte=until)


PAUSE = ActionPage(
    "Pause submits",
    "Nothing of the chosen kind is sent to the upstream until an operator resumes. New generations are accepted and "
    "wait. Generations that were sent go on.",
    PauseForm,
    pause_submits,
    "danger",
)
RESUME = ActionPage("Resume submits", "The generations that waited are due at once.", ActionForm, resume_submits)
CANCEL_MATCHING = ActionPage(
    "Cancel matching",
    "The queued generations that the list's filter matches end before they are submitted. Nothing is paid and the "
    "holds are released.",
    FilterForm,
    cancel_matching,
    "danger",
)


@admin.register(ManualPause)
class ManualPauseAdmin(action_page.ActionPagesMixin, ReadOnlyMixin, ModelAdmin):
    """List the pauses of submits that operators ordered, and offer to order and to end one."""

    list_display = ["held_submits", "since", "actor", "reason", "waiting"]
    list_before_template = "generations/manual_pauses.html"
    ordering: Any = ["since"]
    fields = ["held_submits", "since", "actor", "reason", "waiting"]
    actions_list = ["pause"]
    actions_detail = ["resume"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may see the upstream's status."""
        return request.user.has_perm("generations.view_pause")

    def has_action_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may act on generations."""
        return request.user.has_perm("generations.change_generation")

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Filter the audit log by what is paused, as its entries name it."""
        return {"target__exact": submit_pauses.name_of(self.get_row(request, object_id))}

    @display(description="Submits")
    def held_submits(self, pause: ManualPause) -> str:
        """Return in words which submits are held."""
        return name_of(pause)

    @display(description="Waiting")
    def waiting(self, pause: ManualPause) -> int:
        """Return how many queued generations the pause holds."""
        return submit_pauses.count_queued(manual_pauses.held_by(pause.scope, pause.target))

    @action(description="Pause submits", icon="pause_circle", permissions=["action"], url_path="pause")
    def pause(self, request: HttpRequest) -> HttpResponse:
        """Serve the page that orders a pause."""
        return self.serve_page(request, None, PAUSE)

    @action(description="Resume submits", icon="play_circle", permissions=["action"], url_path="resume")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Serve the page that ends a pause, and return to the list afterwards."""
        return self.serve_action(request, object_id, RESUME, next_url=self.list_url())


class CancelMatchingMixin(ListButtonsMixin):
    """A button of the list of generations that cancels what is queued and matches the list's search and filters."""

    @action(description="Cancel matching", icon="cancel", permissions=["action"], url_path="cancel-matching")
    def cancel_matching(self, request: HttpRequest) -> HttpResponse:
        """Serve the page that says how many generations match, and cancels them."""
        here: Any = self
        rows = here.get_changelist_instance(request).get_queryset(request)
        count = submit_pauses.count_queued(_matching(rows, clock.now()))
        filters = request.GET.urlencode()
        facts = {"filters": filters or "none", "tenant": request.GET.get("tenant__id__exact", "")}
        page = CANCEL_MATCHING._replace(
            description=f"{count} queued generations match ({filters or 'live generations, no filter'}). "
            f"{CANCEL_MATCHING.description}",
            action=partial(cancel_matching, rows=rows, facts={name: fact for name, fact in facts.items() if fact}),
        )
        response: HttpResponse = here.serve_page(request, None, page, next_url=f"{here.list_url()}?{filters}")
        return response


def name_of(pause: ManualPause) -> str:
    """Return in words which submits a pause holds."""
    if pause.scope == Scope.ACCOUNT:
        return ACCOUNT_NAMES.get(pause.target, f"Account {pause.target}")
    return submit_pauses.name_of(pause).capitalize() if pause.scope != Scope.ALL else "All submits"


def pauses_url() -> str:
    """Return the address of the list of pauses."""
    return reverse("admin:generations_manualpause_changelist")
