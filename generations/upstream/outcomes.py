"""The outcomes of a call to an upstream, whatever its wire: of a submit, and of a poll.

"Not yet" and "in doubt" are outcomes. Only an answer that cannot be understood, to a poll, raises UpstreamError.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Created:
    """The upstream has created the task: it is paid for."""

    upstream_id: str


@dataclass(frozen=True)
class NotCreated:
    """The upstream has certainly not created the task, for no fault of the caller: it may be sent again."""

    reason: str
    retry_after: float | None = None  # seconds


@dataclass(frozen=True)
class Refused:
    """The upstream has refused the request for good."""

    reason: str
    message: str
    affects_all: bool = False  # the content is not the cause: other requests would be refused as well


@dataclass(frozen=True)
class InDoubt:
    """The upstream may or may not have created the task: nothing is sent again by itself."""

    reason: str


@dataclass(frozen=True)
class Rendering:
    """The upstream is still working on the task."""

    progress_percent: int  # 0 to 99


@dataclass(frozen=True)
class Rendered:
    """The video is ready at the upstream."""

    video_url: str  # signed, and valid for about an hour
    seed: int | None  # as the upstream reports it


@dataclass(frozen=True)
class Failed:
    """The upstream could not make the video."""

    reason: str


SubmitOutcome = Created | NotCreated | Refused | InDoubt
PollOutcome = Rendering | Rendered | Failed

# The names of outcomes in metrics and traces.
LABELS: dict[type, str] = {
    Created: "created",
    NotCreated: "not_created",
    Refused: "refused",
    InDoubt: "in_doubt",
    Rendering: "rendering",
    Rendered: "rendered",
    Failed: "failed",
}
