"""A wire: the protocol that an upstream speaks. Each package of this room has one, in its module `wire` as WIRE.

`novita/` and `ark/` are the packages. A further one needs no change elsewhere: `wires` finds it. Only a wire knows the
paths, the fields and the errors of its upstream. All other rooms know accounts, offers, outcomes and listed tasks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.upstream.outcomes import PollOutcome, Shape, SubmitOutcome

MAX_BILLED_SPAN = timedelta(days=7)  # of one reading of hourly bills


@dataclass(frozen=True)
class Account:
    """An account at an upstream, as one wire reaches it."""

    name: str  # up to 20 characters; "sandbox" takes the generations of test keys
    wire: str
    base_url: str
    api_key: str = field(repr=False)
    key_setting: str = ""  # the name of the setting that holds the key, and of the one that holds the address
    url_setting: str = ""
    is_guest: bool = False  # another wire is the account's own: its key is checked there
    has_list: bool = False  # the upstream lists its tasks there, so a lost answer is found without a person
    has_books: bool = False  # the upstream shows the account's balance and its hourly bills
    submits_per_minute: int = 0  # over all hosts; 0: no limit of ours
    max_unfinished: int = 0  # tasks at once, over all hosts; 0: no limit of ours

    @property
    def is_configured(self) -> bool:
        """True if the settings have an address and a key of the account."""
        return bool(self.base_url and self.api_key)


@dataclass(frozen=True)
class TaskRequest:
    """The task that one attempt asks for."""

    model: VideoModel
    offer: Offer
    values: Mapping[str, Any]  # by their names under /v1/, with a stored image or a URL as an image
    write_image: Callable[[Any], str]  # an image as text of a body; may raise StorageError
    reference: str = ""  # the attempt's unguessable id of 32 characters, where the wire has a field for it; "": none
    callback_url: str = ""  # where the upstream may post the state of the task; "": nowhere


@dataclass(frozen=True)
class ListedTask:
    """A task as the upstream lists it, or shows it by its id. What the upstream does not say is empty or None."""

    upstream_id: str
    target: str  # the model, as the upstream names it
    reference: str  # as it was sent with the create
    seed: int | None
    shape: Shape
    created_at: datetime | None
    status: str  # in the upstream's words


@dataclass(frozen=True)
class ListPage:
    """A page of the upstream's list of tasks."""

    tasks: Sequence[ListedTask]
    total: int  # tasks on all pages, as this page has it


@dataclass(frozen=True)
class Balance:
    """The money of an account at its upstream."""

    available_micro: int  # micro-USD that can be spent
    details: Mapping[str, Any]  # the upstream's own answer, whole


@dataclass(frozen=True)
class BilledHour:
    """A row of an upstream's bill: the use of one product by one key in one hour."""

    hour: datetime  # when it begins, in UTC
    product: str  # as the upstream names it
    owner: str  # the id of the key, as the upstream has it
    amount_micro: int  # micro-USD, with what vouchers paid
    units: int | None  # calls, seconds or tokens: the upstream does not say
    details: Mapping[str, Any]  # the upstream's own row, whole


class Liveness(StrEnum):
    """The answers to the question if the upstream still has a model under a target."""

    LIVING = "living"
    GONE = "gone"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Probe:
    """The answer about one target."""

    target: str
    liveness: Liveness
    fact: str  # of an unclear or gone one: what was answered


class Uncalibrated(Exception):
    """The upstream does not tell a gone target from a living one, or no probe is free. The text says why."""


class CancelRefused(Exception):
    """The upstream does not cancel the task, which may be rendered by now. The text is the upstream's."""


class Wire(Protocol):
    """The calls of one protocol. Each is one HTTP exchange, without a retry, within a time limit of `leases`."""

    name: str  # as the files of the catalogue name it
    can_cancel: bool  # the wire has a call that cancels a task

    def accounts(self) -> Sequence[Account]:
        """Return the accounts that the settings name for this wire, configured or not, the sandbox's included."""
        ...

    def encode(self, request: TaskRequest) -> bytes:
        """Return the body of the submit. Raise StorageError if an image can not be read."""
        ...

    def submit(self, account: Account, target: str, content: bytes) -> SubmitOutcome:
        """Send one paid POST on a new connection, and return its outcome. An answer that is not plain is in doubt."""
        ...

    def get(self, account: Account, upstream_id: str) -> PollOutcome:
        """Read a task's state. Raise UpstreamError if there is no clear answer: that means "not yet"."""
        ...

    def read_task(self, account: Account, upstream_id: str) -> ListedTask:
        """Read what the upstream says of a task in any state. Raise UpstreamError; NoSuchTask if there is none."""
        ...

    def list_tasks(self, account: Account, target: str) -> Iterator[ListPage]:
        """Yield all pages of the tasks of a model, one request each, whose pace is the caller's.

        Raise UpstreamError. Only an iteration that ends by itself has seen the whole list. Called only where
        `account.has_list`.
        """
        ...

    def cancel(self, account: Account, upstream_id: str) -> None:
        """Cancel a task that waits at the upstream. Raise CancelRefused, or UpstreamError if the answer is not clear.

        The caller must have read that the task waits: the call may delete the record of a finished task.
        """
        ...

    def check_account(self, account: Account) -> datetime | None:
        """Check that the upstream accepts our key, at no cost. Return its clock, or None. Raise UpstreamError."""
        ...

    def read_balance(self, account: Account) -> Balance:
        """Read the account's money. Raise UpstreamError. Called only where `account.has_books`, as the next one."""
        ...

    def read_bills(self, account: Account, since: datetime, until: datetime) -> list[BilledHour]:
        """Read the bills of the hours from `since` to `until`, MAX_BILLED_SPAN at most. Raise UpstreamError."""
        ...

    def probe(self, account: Account, targets: Iterable[str]) -> Iterator[Probe]:
        """Yield whether each target lives, at no cost. Raise Uncalibrated if no answer would mean anything."""
        ...

    def parse_callback(self, content: bytes) -> str:
        """Return the id of the task that a callback names; "" if it names none. A callback is never believed alone."""
        ...
