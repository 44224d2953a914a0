"""The actions of operators on a generation, each as a page, and which actions are available in which status."""

from typing import Any

from django import forms

from generations.catalog.request_fields import RANDOM_SEED
from generations.models import Generation
from generations.ops import actions, cancellation, in_doubt
from tenants.admin.action_page import ActionPage
from tenants.admin.forms import ActionForm, TextLineField, WholeNumberField

Status = Generation.Status
MAX_UPSTREAM_ID_CHARS = 200  # the model's column


class InDoubtForm(ActionForm):
    """Remember which attempt was in doubt when the page was opened: by the time of the POST, another may be."""

    attempt = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"attempt": in_doubt.count_attempts(row)}, **options)


class AttachForm(InDoubtForm):
    """Ask for the upstream's task that the lost response was about."""

    upstream_id = TextLineField(
        label="Upstream task id",
        max_length=MAX_UPSTREAM_ID_CHARS,
        help_text="As the upstream's console shows it. If the answer named a task, it stands here already.",
    )

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, **options)
        self.initial["upstream_id"] = in_doubt.find_named_task(row)


class RerunForm(ActionForm):
    """Ask for the seed of the new generation; the form starts with the same seed."""

    seed = WholeNumberField(
        min_value=RANDOM_SEED,
        help_text=f"The same seed creates the same video. {RANDOM_SEED} draws a random seed.",
    )

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"seed": row.seed}, **options)
        if row.seed is None:  # the model has none
            del self.fields["seed"]


PAGES = {
    "attach": ActionPage(
        "Attach upstream task",
        "The upstream is asked for this task. If the task is finished and has this generation's seed, the video is "
        "copied and the tenant is charged.",
        AttachForm,
        in_doubt.attach,
    ),
    "resubmit": ActionPage(
        "Resubmit",
        "The generation is sent once more. Use this only if the upstream confirmed that no task was created. If the "
        "confirmation is wrong, this may pay twice.",
        InDoubtForm,
        in_doubt.resubmit,
        "danger",
    ),
    "release": ActionPage(
        "Close as not submitted",
        "The generation fails as not submitted and the hold is released. Use this if the upstream confirmed that no "
        "task was created.",
        InDoubtForm,
        in_doubt.release,
    ),
    "give_up": ActionPage(
        "Close as unconfirmed",
        "The generation fails as unconfirmed and the hold is released. If the upstream charges, the cost is ours to "
        "bear.",
        InDoubtForm,
        in_doubt.give_up,
        "danger",
    ),
    "cancel": ActionPage(
        "Cancel",
        "The generation ends before the upstream begins it. Nothing is paid and the hold is released. A generation "
        "that was sent is cancelled at the upstream, if it still waits there and the upstream cancels tasks.",
        ActionForm,
        actions.cancel,
        "danger",
    ),
    "run_now": ActionPage(
        "Run next step now",
        "The next step runs at once, without the delay after earlier failures.",
        ActionForm,
        actions.run_now,
    ),
    "retry_copy": ActionPage(
        "Retry copy",
        "The video is downloaded again from a fresh URL of the upstream and stored under a new name.",
        ActionForm,
        actions.retry_copy,
    ),
    "fail": ActionPage(
        "Fail and release hold",
        "The generation ends without a video and the hold is released. If the upstream has started rendering, "
        "the upstream still charges: the cost is ours to bear.",
        ActionForm,
        actions.fail,
        "danger",
    ),
    "rerun": ActionPage(
        "Run again",
        "A new generation is created with the same images and fields. The key of this generation is charged, within "
        "the key's limits.",
        RerunForm,
        actions.rerun,
    ),
    "delete_files": ActionPage(
        "Delete files",
        "The video and the images are deleted from the bucket. This cannot be undone. The row and the ledger entries "
        "stay.",
        ActionForm,
        actions.delete_files,
        "danger",
    ),
}
AVAILABLE: dict[str, tuple[str, ...]] = {
    Status.QUEUED: ("cancel", "run_now", "fail"),
    Status.IN_DOUBT: ("attach", "resubmit", "release", "give_up"),
    Status.RUNNING: ("cancel", "run_now", "fail"),
    Status.COPYING: ("retry_copy", "fail"),
}


def available_actions(generation: Generation) -> tuple[str, ...]:
    """Return the names of the actions that make sense in the generation's present status."""
    if generation.finished_at:
        return ("rerun",) if generation.deleted_at else ("rerun", "delete_files")
    is_possible = {"cancel": cancellation.can_cancel(generation)}
    return tuple(name for name in AVAILABLE.get(generation.status, ()) if is_possible.get(name, True))


def page_to_cancel_many() -> ActionPage:
    """Return the page that cancels the queued ones of many generations. No upstream is asked: each may take long."""
    effect = (
        "The queued generations among them end before they are submitted. Nothing is paid and the holds are released."
    )
    return PAGES["cancel"]._replace(description=effect, action=actions.cancel_queued)
