"""What ops can do to a generation, each act as a page that asks why: which of them, by where the generation stands."""

from typing import Any

from django import forms

from generations.catalog import video_models
from generations.models import Generation
from generations.ops import actions, in_doubt
from tenants.admin import action_page
from tenants.admin.forms import ActForm, Line, Whole

Status = Generation.Status


class DoubtForm(ActForm):
    """Which attempt the page was about when it was opened: another one may be in doubt when it is sent."""

    attempt = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"attempt": in_doubt.attempt_of(row)}, **options)


class AttachForm(DoubtForm):
    """The upstream's task that the lost answer was about."""

    upstream_id = Line(
        label="Upstream's task id",
        max_length=200,  # as the model's column
        help_text="As the upstream's account shows it.",
    )


class RerunForm(ActForm):
    """With its own seed, unless another one is given."""

    seed = Whole(
        min_value=video_models.RANDOM_SEED,
        max_value=video_models.SEED_MAX,
        help_text=f"The same seed makes the same video; {video_models.RANDOM_SEED} draws another.",
    )

    def __init__(self, *args: Any, row: Generation, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"seed": row.seed}, **options)


PAGES = {
    "attach": action_page.Page(
        "Attach upstream task",
        "The upstream is asked for that task: where it is finished and was made from this generation's seed, its video "
        "is copied and the tenant pays for it.",
        AttachForm,
        in_doubt.attach,
    ),
    "resubmit": action_page.Page(
        "Resubmit",
        "It is sent once more, for where the upstream confirmed that it was not created: where the confirmation is "
        "wrong, this may pay twice.",
        DoubtForm,
        in_doubt.resubmit,
        "danger",
    ),
    "release": action_page.Page(
        "Release",
        "It fails as never submitted and its hold goes back to the tenant, for where the upstream confirmed that it "
        "was not created.",
        DoubtForm,
        in_doubt.release,
    ),
    "give_up": action_page.Page(
        "Give up",
        "It fails as unconfirmed and its hold goes back to the tenant: what the upstream charged is ours to bear.",
        DoubtForm,
        in_doubt.give_up,
        "danger",
    ),
    "cancel": action_page.Page(
        "Cancel",
        "It ends before it is submitted: nothing is paid, and its hold goes back to the tenant.",
        ActForm,
        actions.cancel,
        "danger",
    ),
    "nudge": action_page.Page(
        "Nudge",
        "Its next step is taken at once, whatever pause its earlier tries have earned it.",
        ActForm,
        actions.run_now,
    ),
    "retry_copy": action_page.Page(
        "Retry the copy",
        "The video is fetched anew, from a fresh address of the upstream, and stored under a new name.",
        ActForm,
        actions.retry_copy,
    ),
    "fail": action_page.Page(
        "Fail and release",
        "It ends without a video and its hold goes back to the tenant. What the upstream has begun, it charges all the "
        "same: that is ours to bear.",
        ActForm,
        actions.fail,
        "danger",
    ),
    "rerun": action_page.Page(
        "Rerun",
        "The same pictures and fields once more, as a new generation on the bill of the key that made this one, within "
        "its limits.",
        RerunForm,
        actions.rerun,
    ),
    "delete_files": action_page.Page(
        "Delete the files",
        "Its video and pictures leave the bucket for good; its row, its bill and its ledger stay.",
        ActForm,
        actions.delete_files,
        "danger",
    ),
}
POSSIBLE: dict[str, tuple[str, ...]] = {
    Status.QUEUED: ("cancel", "nudge", "fail"),
    Status.IN_DOUBT: ("attach", "resubmit", "release", "give_up"),
    Status.RUNNING: ("nudge", "fail"),
    Status.COPYING: ("retry_copy", "fail"),
}


def possible(generation: Generation) -> tuple[str, ...]:
    """The acts that make sense where it stands."""
    if generation.finished_at:
        return ("rerun",) if generation.deleted_at else ("rerun", "delete_files")
    return POSSIBLE.get(generation.status, ())
