"""The contract of every wire: each outcome, as the wire makes it of what the sandbox answers there.

A new wire adds a Case. What a wire can not do, it says in the same way as the others.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy import stack, waiting
from generations.catalog import video_models
from generations.upstream import accounts, outcomes, wires
from generations.upstream.errors import AccountError, NoVideo, UpstreamError
from generations.upstream.novita.liveness import BOGUS_KEY
from generations.upstream.outcomes import Cause, Shape, SubmitOutcome
from generations.upstream.protocol import Account, CancelRefused, ListedTask, TaskRequest, Wire
from tests.support.images import data_uri, image_bytes

pytestmark = pytest.mark.story

SEED = 77
REFERENCE = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Case:
    """A model of a wire at the sandbox, and the words of prompts by which the sandbox answers in each way there."""

    wire: str
    model: str
    has_list: bool = False
    cancels: bool = False
    scripts: tuple[tuple[str, str], ...] = ()

    def script(self, name: str) -> str:
        """Return the words of the prompt. Skip the test if the upstream of this wire has no such answer."""
        words = dict(self.scripts).get(name)
        if words is None:
            pytest.skip(f"the upstream of {self.wire} has no such answer")
        return words


CASES = [
    Case(
        "novita-async",
        "seedance-v1-lite-i2v",
        scripts=(("refused", "[refuse]"), ("lost", "[lose]"), ("failed", "[fail]")),
    ),
    Case(
        "ark",
        "seedance-2-0",
        has_list=True,
        cancels=True,
        scripts=(
            ("refused", "[refuse]"),
            ("lost", "[lose]"),
            ("lost before", "[lose before]"),
            ("500", "[500]"),
            ("500 created", "[500 created]"),
            ("overdue", "[overdue]"),
            ("spending cap", "[429 SetLimitExceeded]"),
            ("rate", "[429 RateLimitExceeded.EndpointRPMExceeded]"),
            ("queue", "[429 QuotaExceeded]"),
            ("overloaded", "[429 ServerOverloaded]"),
            ("not open", "[not open]"),
            ("closed", "[closed]"),
            ("failed", "[fail]"),
            ("withheld", "[moderate]"),
            ("expired", "[expire]"),
            ("no usage", "[no usage]"),
            ("texts", "[text numbers]"),
            ("waits", "[wait 60]"),
        ),
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a sandbox whose tasks take half a second."""
    folder: Path = tmp_path_factory.mktemp("sandbox")
    port = stack.free_port(16_005 + os.getpid() % 600 * 10)
    process = stack.sandbox(folder / "tasks", folder, port, 0.5, {**os.environ})
    try:
        waiting.until_answers(process, f"http://127.0.0.1:{port}/sandbox/tasks")
        yield f"http://127.0.0.1:{port}"
    finally:
        stack.stop([process])


class Caller:
    """The calls of one wire at the sandbox."""

    def __init__(self, case: Case) -> None:
        self.case, self.wire = case, wires.get(case.wire)
        self.account = accounts.get("sandbox", case.wire)
        model = video_models.get(case.model)
        assert model is not None
        self.model = model
        self.offer = replace(model.offers[0], account="sandbox")

    def submit(self, prompt: str = "a ship", account: Account | None = None, **changes: Any) -> SubmitOutcome:
        """Send one paid POST."""
        values = {name: field.default for name, field in self.model.fields.items()}
        values |= {"prompt": prompt, "image": data_uri(image_bytes()), "resolution": "480p", "seed": SEED, **changes}
        request = TaskRequest(self.model, self.offer, values, str, REFERENCE)
        return self.wire.submit(account or self.account, self.offer.target, self.wire.encode(request))

    def create(self, prompt: str = "a ship", **changes: Any) -> str:
        """Return the id of a new task."""
        created = self.submit(prompt, **changes)
        assert isinstance(created, outcomes.Created), created
        return created.upstream_id

    def end_of(self, upstream_id: str) -> outcomes.PollOutcome:
        """Return the first outcome that is not "still rendering"."""
        ends = time.monotonic() + 90
        while isinstance(outcome := self.wire.get(self.account, upstream_id), outcomes.Rendering):
            assert time.monotonic() < ends, outcome
            time.sleep(0.05)
        return outcome

    def listed(self) -> dict[str, ListedTask]:
        """Return all tasks of the model by id."""
        pages = self.wire.list_tasks(self.account, self.offer.target)
        return {task.upstream_id: task for page in pages for task in page.tasks}


@pytest.fixture(params=CASES, ids=[case.wire for case in CASES])
def caller(request: pytest.FixtureRequest, url: str, settings: Any) -> Caller:
    """Return the calls of each wire."""
    settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY = url, "any"
    return Caller(request.param)


def test_every_wire_has_a_case() -> None:
    assert {case.wire for case in CASES} == set(wires.load())


def test_a_create_makes_one_task_whose_video_is_as_it_was_asked_for(caller: Caller) -> None:
    upstream_id = caller.create()
    assert isinstance(caller.wire.get(caller.account, upstream_id), outcomes.Rendering | outcomes.Rendered)
    done = caller.end_of(upstream_id)
    assert isinstance(done, outcomes.Rendered)
    assert (done.seed, done.odd) == (SEED, "")
    assert done.video_url.startswith("http")
    assert done.shape.duration in (None, caller.model.fields["duration"].default)


def test_usage_and_shape_are_reported_where_the_model_settles_by_usage(caller: Caller) -> None:
    done = caller.end_of(caller.create(aspect_ratio="16:9"))
    assert isinstance(done, outcomes.Rendered)
    if caller.model.row.settle == "usage":
        assert done.tokens == 864 * 496 * 121 // 1024
        assert done.shape == Shape("480p", "16:9", 5)
    else:
        assert (done.tokens, done.shape) == (None, Shape())


REFUSALS: dict[str, Callable[[SubmitOutcome], bool]] = {
    "refused": lambda outcome: isinstance(outcome, outcomes.Refused) and not outcome.affects_all,
    "overdue": lambda outcome: isinstance(outcome, outcomes.NotCreated),
    "spending cap": lambda outcome: isinstance(outcome, outcomes.NotCreated),
    "rate": lambda outcome: isinstance(outcome, outcomes.NotCreated),
    "queue": lambda outcome: isinstance(outcome, outcomes.NotCreated),
    "overloaded": lambda outcome: isinstance(outcome, outcomes.NotCreated),
    "not open": lambda outcome: isinstance(outcome, outcomes.RouteGone),
    "closed": lambda outcome: isinstance(outcome, outcomes.RouteGone),
    "lost": lambda outcome: isinstance(outcome, outcomes.InDoubt),
    "lost before": lambda outcome: isinstance(outcome, outcomes.InDoubt),
    "500": lambda outcome: isinstance(outcome, outcomes.InDoubt),
    "500 created": lambda outcome: isinstance(outcome, outcomes.InDoubt),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_each_answer_to_a_create_has_its_outcome(caller: Caller, name: str) -> None:
    outcome = caller.submit(f"a ship {caller.case.script(name)}")
    assert REFUSALS[name](outcome), outcome


def test_a_bad_key_is_our_account_and_never_the_callers_fault(caller: Caller) -> None:
    stranger = replace(caller.account, api_key=BOGUS_KEY)
    assert isinstance(caller.submit(account=stranger), outcomes.NotCreated)
    upstream_id = caller.create()
    with pytest.raises(AccountError):
        caller.wire.get(stranger, upstream_id)
    with pytest.raises(UpstreamError):
        caller.wire.check_account(stranger)
    caller.wire.check_account(caller.account)


def test_a_model_that_the_upstream_does_not_have_is_a_route_that_is_gone(caller: Caller) -> None:
    caller.offer = replace(caller.offer, target=f"{caller.offer.target}-2")
    assert isinstance(caller.submit(), outcomes.RouteGone)


def test_an_upstream_that_is_not_there_has_created_nothing(caller: Caller) -> None:
    away = replace(caller.account, base_url="http://127.0.0.1:9")
    assert isinstance(caller.submit(account=away), outcomes.NotCreated)
    with pytest.raises(UpstreamError):
        caller.wire.get(away, "any")


ENDS = {
    "failed": outcomes.Failed("", cause=Cause.OTHER),
    "withheld": outcomes.Failed("", cause=Cause.OUTPUT_MODERATED),
    "expired": outcomes.Failed("", cause=Cause.EXPIRED),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_end_without_a_video_has_its_cause(caller: Caller, name: str) -> None:
    end = caller.end_of(caller.create(f"a ship {caller.case.script(name)}"))
    assert isinstance(end, outcomes.Failed)
    assert end.cause == ENDS[name].cause
    assert end.reason


def test_an_answer_without_usage_says_so_and_texts_are_numbers(caller: Caller) -> None:
    without = caller.end_of(caller.create(caller.case.script("no usage")))
    texts = caller.end_of(caller.create(caller.case.script("texts")))
    assert isinstance(without, outcomes.Rendered)
    assert isinstance(texts, outcomes.Rendered)
    assert (without.tokens, texts.tokens is not None, texts.odd) == (None, True, "")


def test_an_unknown_task_has_no_video(caller: Caller) -> None:
    real = caller.create()
    unknown = real[:-4] + ("aaaa" if real[-4:] != "aaaa" else "bbbb")
    with pytest.raises(NoVideo):
        caller.wire.get(caller.account, unknown)


def test_a_listed_task_shows_the_attempt_that_made_it(caller: Caller) -> None:
    upstream_id = caller.create()
    assert caller.account.has_list == caller.case.has_list
    if not caller.case.has_list:
        with pytest.raises(UpstreamError):
            caller.wire.read_task(caller.account, upstream_id)
        with pytest.raises(UpstreamError):
            caller.listed()
        return
    lost = caller.submit("a ship [lose]")
    assert isinstance(lost, outcomes.InDoubt)
    listed = caller.listed()
    shown = caller.wire.read_task(caller.account, upstream_id)
    assert (listed[upstream_id].reference, shown.reference) == (REFERENCE, REFERENCE)
    assert shown.seed in (None, SEED)  # the sandbox shows it at the end
    assert len([task for task in listed.values() if task.reference == REFERENCE]) >= 2  # the lost one too
    assert shown.shape.resolution in (None, "480p")
    assert shown.created_at is not None
    assert shown.target == caller.offer.target


def test_a_waiting_task_is_cancelled_where_the_wire_can(caller: Caller) -> None:
    wire: Wire = caller.wire
    assert wire.can_cancel == caller.case.cancels
    if not wire.can_cancel:
        with pytest.raises(CancelRefused):
            wire.cancel(caller.account, caller.create())
        return
    upstream_id = caller.create(caller.case.script("waits"))
    waiting_task = wire.get(caller.account, upstream_id)
    assert isinstance(waiting_task, outcomes.Rendering)
    assert waiting_task.is_waiting
    wire.cancel(caller.account, upstream_id)
    assert wire.get(caller.account, upstream_id) == outcomes.Cancelled()
    with pytest.raises(CancelRefused):
        wire.cancel(caller.account, upstream_id)
