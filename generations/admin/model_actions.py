"""The actions of operators on a model, each as a page."""

from typing import Any

from django import forms
from unfold import widgets

from generations.catalog import video_models
from generations.catalog.video_models import VideoModel
from generations.models import ModelState
from generations.ops import model_states
from tenants.admin.action_page import ActionPage
from tenants.admin.forms import ActionForm
from tenants.audit import Actor


class ReplacementForm(ActionForm):
    """Ask for the model that callers should use instead."""

    replacement = forms.ChoiceField(
        choices=[("", "---------"), *((name, name) for name in sorted(video_models.models()))],
        required=False,
        help_text="The model that callers should use instead. No request is moved to it.",
        widget=widgets.UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, row: ModelState, **options: Any) -> None:
        super().__init__(*args, row=row, **options)
        self.initial["replacement"] = row.replacement


class DeprecateForm(ReplacementForm):
    """Ask also for the first day without the model."""

    retires_at = forms.DateField(
        required=False,
        label="Retires on",
        help_text="The first day without the model, in UTC. Empty: not known yet.",
        widget=widgets.UnfoldAdminSingleDateWidget,
    )

    def __init__(self, *args: Any, row: ModelState, **options: Any) -> None:
        super().__init__(*args, row=row, **options)
        self.initial["retires_at"] = row.retires_at


def model_of(row: ModelState) -> VideoModel:
    """Return the model whose state the row has."""
    return video_models.models()[row.model]


def hide(actor: Actor, row: ModelState) -> None:
    """Hide the model of the row."""
    model_states.hide(actor, model_of(row))


def deprecate(actor: Actor, row: ModelState, **end: Any) -> None:
    """Deprecate the model of the row."""
    model_states.deprecate(actor, model_of(row), **end)


def retire(actor: Actor, row: ModelState, replacement: str) -> str:
    """Retire the model of the row. Return how many generations fail, as a sentence."""
    queued = model_states.retire(actor, model_of(row), replacement)
    return f"{row.model} is retired: {queued} queued generations fail, and their holds are released."


def restore(actor: Actor, row: ModelState) -> None:
    """Restore the model of the row."""
    model_states.restore(actor, model_of(row))


PAGES = {
    "hide": ActionPage(
        "Hide model", "Callers no longer find the model in the list. It works as before.", ActionForm, hide
    ),
    "deprecate": ActionPage(
        "Deprecate model",
        "From now on each answer to a create announces the end of the model. From its last day on creates are refused.",
        DeprecateForm,
        deprecate,
    ),
    "retire": ActionPage(
        "Retire model",
        "Creates with the model are refused from now on. Queued generations fail and their holds are released. "
        "Generations at the upstream go on to their end.",
        ReplacementForm,
        retire,
        "danger",
    ),
    "restore": ActionPage(
        "Restore model", "The model is active without an end, whatever its file says.", ActionForm, restore
    ),
}
