"""The outcomes of a call to an upstream, whatever its wire: of a submit, and of a poll.

"Not yet" and "in doubt" are outcomes. Only an answer that cannot be understood, to a poll, raises UpstreamError.
Their texts are the upstream's, without secrets. Callers read them only where `is_about_content` says so.
"""

from dataclasses import dataclass, field
from enum import StrEnum

MAX_TOKENS = 2**53  # up to which each number of JSON is exact


class Cause(StrEnum):
    """Why an upstream refuses a request or fails a task, where it says so by a code of its own."""

    OTHER = ""
    INPUT_MODERATED = "input_moderated"
    OUTPUT_MODERATED = "output_moderated"
    EXPIRED = "upstream_expired"


@dataclass(frozen=True)
class Shape:
    """The shape of a video, as the upstream reports it, in our words; None where it does not say."""

    resolution: str | None = None
    aspect_ratio: str | None = None
    duration: int | None = None  # seconds


@dataclass(frozen=True)
class Created:
    """The upstream has created the task: it is paid for."""

    upstream_id: str


@dataclass(frozen=True)
class NotCreated:
    """The upstream has certainly not created the task, for no fault of the caller: it may be sent again."""

    reason: str
    retry_after: float | None = None  # seconds
    answer: str = field(default="", compare=False, repr=False)  # as it came, for operators


@dataclass(frozen=True)
class RouteGone:
    """The upstream no longer has the route of the model: nothing was created, and other models are not affected."""

    reason: str
    answer: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class CreateFailed:
    """A step of the upstream's own has failed before the task was created: it may be sent again a few times."""

    reason: str
    answer: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Refused:
    """The upstream has refused the request for good."""

    reason: str
    message: str
    affects_all: bool = False  # the content is not the cause: other requests would be refused as well
    is_about_content: bool = field(default=True, compare=False)
    answer: str = field(default="", compare=False, repr=False)
    cause: Cause = Cause.OTHER  # with one, callers read a sentence of ours and not the upstream's words


@dataclass(frozen=True)
class InDoubt:
    """The upstream may or may not have created the task: nothing is sent again by itself."""

    reason: str
    upstream_id: str = ""  # of the task that the answer names, if it names one
    answer: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Rendering:
    """The upstream is still working on the task."""

    progress_percent: int | None  # 0 to 99; None if the upstream does not say
    is_waiting: bool = False  # the upstream says that it has not begun, so the task may be cancelled there


@dataclass(frozen=True)
class Rendered:
    """The video is ready at the upstream."""

    video_url: str  # signed, and valid for about an hour
    seed: int | None  # as the upstream reports it
    tokens: int | None = None  # that the video has cost, up to MAX_TOKENS; None if the upstream does not say
    odd: str = field(default="", compare=False)  # what of the answer is not understood, and is no reason to wait
    shape: Shape = Shape()


@dataclass(frozen=True)
class Failed:
    """The upstream could not make the video."""

    reason: str
    is_about_content: bool = field(default=True, compare=False)
    cause: Cause = Cause.OTHER  # with one, callers read a sentence of ours and not the upstream's words


@dataclass(frozen=True)
class Cancelled:
    """The task was cancelled at the upstream before it began: nothing is paid."""


SubmitOutcome = Created | NotCreated | RouteGone | CreateFailed | Refused | InDoubt
PollOutcome = Rendering | Rendered | Failed | Cancelled

# The names of outcomes in metrics and traces.
LABELS: dict[type, str] = {
    Created: "created",
    NotCreated: "not_created",
    RouteGone: "route_gone",
    CreateFailed: "create_failed",
    Refused: "refused",
    InDoubt: "in_doubt",
    Rendering: "rendering",
    Rendered: "rendered",
    Failed: "failed",
    Cancelled: "cancelled",
}
