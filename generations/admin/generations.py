"""Ops' view of generations. It reads, and resolves a doubt by `doubts`' verbs; no row is added, edited or deleted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.timesince import timesince, timeuntil
from unfold import widgets
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from generations import doubts, lifecycle
from generations.models import Attempt, Event, Generation, Pause, Worker
from tenants import pages, windows
from tenants.forms import ActForm


class DoubtForm(ActForm):
    """Which attempt the page was about when it was opened: another one may be in doubt when it is sent."""

    attempt = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"attempt": doubts.attempt_of(row)}, **options)

    def facts(self) -> dict[str, Any]:
        return {"attempt": self.cleaned_data["attempt"]}


class AttachForm(DoubtForm):
    """The upstream's task that the lost answer was about."""

    upstream_id = forms.CharField(
        label="Upstream's task id",
        max_length=200,  # as the model's column
        help_text="As the upstream's account shows it.",
        widget=widgets.UnfoldAdminTextInputWidget,
    )

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "upstream_id": self.cleaned_data["upstream_id"]}


ATTACH = pages.Page(
    "Attach upstream task",
    "The upstream is asked for that task: where it is finished and was made from this generation's seed, its video is "
    "copied and the tenant pays for it.",
    AttachForm,
    doubts.attach,
)
RESUBMIT = pages.Page(
    "Resubmit",
    "It is sent once more, for where the upstream confirmed that it was not created: where the confirmation is wrong, "
    "this may pay twice.",
    DoubtForm,
    doubts.resubmit,
    "danger",
)
RELEASE = pages.Page(
    "Release",
    "It fails as never submitted and its hold goes back to the tenant, for where the upstream confirmed that it was "
    "not created.",
    DoubtForm,
    doubts.release,
)
GIVE_UP = pages.Page(
    "Give up",
    "It fails as unconfirmed and its hold goes back to the tenant: what the upstream charged is ours to bear.",
    DoubtForm,
    doubts.give_up,
    "danger",
)
DOUBT = (
    "In doubt",
    {
        "fields": ["tenant", "sent", "ends", "usd_at_risk", "seed"],
        "description": "The answer to its submit was lost: it may or may not have been paid for.",
    },
)


class ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EventInline(ReadOnly, TabularInline):
    model = Event
    fields = ["at", "status", "message"]


class AttemptInline(ReadOnly, TabularInline):
    model = Attempt
    fields = ["number", "started_at", "finished_at", "outcome", "detail"]


class Mode(admin.SimpleListFilter):
    """Live generations unless asked otherwise: a team's CI would bury them."""

    title, parameter_name = "mode", "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("test", "Test"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        options = [(None, "Live"), *self.lookup_choices]
        for value, label in options:
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        return rows if self.value() == "all" else rows.filter(test=self.value() == "test")


@admin.register(Generation)
class GenerationAdmin(pages.Acts, ReadOnly, ModelAdmin):
    list_display = ["id", "tenant", "state", "resolution", "aspect_ratio", "duration", "seed", "test", "created_at"]
    list_filter = [Mode, "status", "tenant", "resolution"]
    list_select_related = ["tenant"]
    search_fields = ["=id", "=upstream_id", "=seed"]
    ordering = ["-id"]
    inlines = [AttemptInline, EventInline]
    actions_detail = ["attach", "resubmit", "release", "give_up"]

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The rows stay read-only, whatever one may do about a doubt."""
        return request.user.has_perm("generations.change_generation")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """None where there is no doubt."""
        generation = self.get_object(request, object_id)
        return super().get_actions_detail(request, object_id) if in_doubt(generation) else []

    def get_fields(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """Where it stands comes first."""
        return sorted(super().get_fields(request, obj), key=lambda name: name != "status")

    def get_fieldsets(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """What ops need to resolve a doubt comes first; all else is folded, so that the attempts are in sight too."""
        known = super().get_fieldsets(request, obj)
        folded = [("All that is known", {**options, "classes": ["collapse"]}) for _, options in known]
        return [DOUBT, *folded] if in_doubt(obj) else known

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What ops did to it; its own moves are on its page."""
        return HttpResponseRedirect(pages.listed("auditentry", target__exact=object_id))

    @display(description="Status", ordering="status", label={Generation.Status.IN_DOUBT: "warning"})
    def state(self, generation: Generation) -> tuple[str, str]:
        """A doubt stands out: it waits for a person."""
        return generation.status, generation.get_status_display()

    @display(description="In doubt since")
    def sent(self, generation: Generation) -> str:
        at = generation.submitted_at
        assert at is not None  # it was sent
        return f"{at:%Y-%m-%d %H:%M:%S} UTC, when it was sent: {timesince(at)} ago"

    @display(description="Fails by itself")
    def ends(self, generation: Generation) -> str:
        assert generation.submitted_at is not None  # it was sent
        at = generation.submitted_at + lifecycle.IN_DOUBT_HOLD
        return f"{at:%Y-%m-%d %H:%M:%S} UTC, in {timeuntil(at)}"

    @display(description="USD at risk")
    def usd_at_risk(self, generation: Generation) -> str:
        return windows.usd(generation.price_micro)

    @action(description="Attach upstream task", icon="link", permissions=["act"])
    def attach(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act(request, object_id, ATTACH)

    @action(description="Resubmit", icon="send", permissions=["act"])
    def resubmit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act(request, object_id, RESUBMIT)

    @action(description="Release", icon="undo", permissions=["act"])
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act(request, object_id, RELEASE)

    @action(description="Give up", icon="money_off", permissions=["act"], url_path="give-up")
    def give_up(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act(request, object_id, GIVE_UP)


def in_doubt(generation: Generation | None) -> bool:
    return generation is not None and generation.status == Generation.Status.IN_DOUBT


@admin.register(Pause)
class PauseAdmin(ReadOnly, ModelAdmin):
    """An upstream in trouble, in its own words; it goes away by itself when a probe gets through."""

    list_display = ["upstream", "since", "reason", "probes", "probe_at"]


@admin.register(Worker)
class WorkerAdmin(ReadOnly, ModelAdmin):
    """The worker hosts: whether work is done there, and what their supervisors had to do."""

    list_display = ["host", "started_at", "beat_at", "restarts", "restarted_at", "restart_reason"]
