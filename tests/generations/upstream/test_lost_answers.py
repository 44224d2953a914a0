"""Which listed task is that of a lost answer: every rule, and the lists that look as if they proved something."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from generations.upstream import lost_answers
from generations.upstream.lost_answers import Found, LostAnswer, NotThere, NotYet, Owners, Scan, Unclear
from generations.upstream.outcomes import Shape
from generations.upstream.protocol import ListedTask

OURS, THEIRS = UUID(int=1), UUID(int=2)
SENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAIT = timedelta(seconds=300)
SHAPE = Shape("480p", "16:9", 5)
LOST = LostAnswer(OURS, frozenset({"ref-1"}), "model-1", 42, is_seed_drawn=True, shape=SHAPE, started_at=SENT)
LATE = LOST.deadline + WAIT
TASK = ListedTask("task-1", "model-1", "", 42, SHAPE, SENT + timedelta(seconds=3), "running")
OTHER = replace(TASK, upstream_id="task-2", seed=7)


def judge(*tasks: ListedTask, lost: LostAnswer = LOST, owners: Owners = Owners(), **facts: Any) -> Any:  # noqa: B008
    """Return the verdict by a complete scan that is late enough, unless `facts` say otherwise."""
    scan = Scan(**{"began_at": LATE, "tasks": tasks, "is_complete": True, **facts})
    return lost_answers.judge(lost, scan, owners, WAIT)


def test_a_task_with_our_reference_is_ours_whatever_else_it_shows() -> None:
    odd = replace(TASK, reference="ref-1", seed=1, shape=Shape(), created_at=None, target="")
    assert judge(OTHER, odd) == Found(odd)
    assert judge(OTHER, odd, is_complete=False) == Found(odd)
    assert judge(OTHER, odd, began_at=LOST.deadline) == Found(odd)


@pytest.mark.parametrize("reference", ["ref-2", "REF-1", " ref-1", "ref-1 ", "ref", "ref-11"])
def test_a_task_with_another_reference_is_never_ours(reference: str) -> None:
    assert isinstance(judge(replace(TASK, reference=reference)), Unclear)  # our seed: so it is not "not there" either
    assert judge(replace(TASK, reference=reference, seed=7)) == NotThere()
    known = Owners(of_references={reference: THEIRS})
    assert judge(replace(TASK, reference=reference), owners=known) == NotThere()


def test_the_reference_of_an_earlier_attempt_of_the_generation_is_ours_too() -> None:
    both = replace(LOST, references=frozenset({"ref-0", "ref-1"}))
    assert judge(replace(TASK, reference="ref-0"), lost=both) == Found(replace(TASK, reference="ref-0"))


def test_two_tasks_with_our_reference_are_unclear() -> None:
    two = [replace(TASK, reference="ref-1", upstream_id=name) for name in ("task-1", "task-2")]
    assert isinstance(judge(*two), Unclear)
    assert judge(two[0], two[0]) == Found(two[0])  # one task that two pages show


def test_a_task_with_our_reference_that_another_generation_has_is_unclear() -> None:
    owners = Owners(of_tasks={"task-1": THEIRS})
    assert isinstance(judge(replace(TASK, reference="ref-1"), owners=owners), Unclear)


def test_an_attempt_without_a_reference_does_not_match_tasks_without_one() -> None:
    assert judge(replace(TASK, seed=7), lost=replace(LOST, references=frozenset())) == NotThere()


def test_without_a_reference_seed_shape_and_time_find_the_task() -> None:
    assert judge(OTHER, TASK) == Found(TASK)
    assert judge(OTHER, replace(TASK, shape=Shape())) == Found(replace(TASK, shape=Shape()))
    open_ratio = replace(LOST, shape=replace(SHAPE, aspect_ratio=None))
    other_ratio = replace(TASK, shape=replace(SHAPE, aspect_ratio="4:3"))
    assert judge(other_ratio, lost=open_ratio) == Found(other_ratio)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"shape": replace(SHAPE, resolution="720p")}, id="resolution"),
        pytest.param({"shape": replace(SHAPE, aspect_ratio="1:1")}, id="ratio"),
        pytest.param({"shape": replace(SHAPE, duration=10)}, id="duration"),
        pytest.param({"created_at": SENT - timedelta(seconds=61)}, id="before"),
        pytest.param({"created_at": LOST.deadline + timedelta(seconds=61)}, id="after"),
        pytest.param({"created_at": None}, id="no time"),
        pytest.param({"target": "model-2"}, id="another model"),
    ],
)
def test_our_seed_in_another_shape_or_at_another_time_is_neither_ours_nor_not_there(facts: dict[str, Any]) -> None:
    assert isinstance(judge(replace(TASK, **facts)), Unclear)


@pytest.mark.parametrize("seconds", [-60, 0, 125, 185])
def test_the_upstreams_clock_may_differ_by_a_minute(seconds: int) -> None:
    task = replace(TASK, created_at=SENT + timedelta(seconds=seconds))
    assert judge(task) == Found(task)


def test_a_seed_that_the_caller_chose_or_that_was_sent_twice_finds_nothing_and_proves_nothing() -> None:
    for lost in (replace(LOST, is_seed_drawn=False), replace(LOST, has_rival=True)):
        assert isinstance(judge(TASK, lost=lost), Unclear)
        assert judge(OTHER, lost=lost) == NotThere()


def test_two_tasks_like_ours_are_unclear() -> None:
    assert isinstance(judge(TASK, replace(TASK, upstream_id="task-2")), Unclear)


def test_a_broken_scan_finds_nothing_by_its_seed_since_a_second_may_follow() -> None:
    assert isinstance(judge(TASK, is_complete=False), NotYet)


@pytest.mark.parametrize(
    "owners",
    [
        pytest.param(Owners(of_tasks={"task-1": THEIRS}), id="of another row"),
        pytest.param(Owners(of_named_tasks={"task-1": {THEIRS}}), id="named for another attempt"),
        pytest.param(Owners(of_named_tasks={"task-1": {OURS, THEIRS}}), id="named for both"),
    ],
)
def test_a_task_of_another_generation_is_no_candidate(owners: Owners) -> None:
    assert judge(TASK, owners=owners) == NotThere()


def test_a_task_that_the_answer_to_this_very_attempt_named_is_a_candidate() -> None:
    assert judge(TASK, owners=Owners(of_named_tasks={"task-1": {OURS}})) == Found(TASK)


def test_not_there_needs_a_complete_scan_that_begins_late_enough() -> None:
    assert judge() == NotThere()
    assert judge(OTHER) == NotThere()
    assert isinstance(judge(is_complete=False), NotYet)
    assert isinstance(judge(began_at=LATE - timedelta(seconds=1)), NotYet)
    assert isinstance(judge(began_at=SENT + timedelta(days=6, seconds=1)), Unclear)
    assert isinstance(judge(missing="task-9"), Unclear)


def test_a_list_that_shows_neither_references_nor_seeds_proves_nothing() -> None:
    mute, later = replace(OTHER, seed=None), {"began_at": LATE + lost_answers.SHOWN_AFTER}
    assert isinstance(judge(mute, **later), Unclear)
    assert isinstance(judge(replace(mute, created_at=None), **later), Unclear)
    assert judge(replace(mute, created_at=SENT - timedelta(hours=1))) == NotThere()
    assert judge(replace(mute, reference="ref-9")) == NotThere()
    assert isinstance(judge(OTHER, lost=replace(LOST, seed=None), **later), Unclear)
    assert judge(replace(OTHER, reference="ref-9"), lost=replace(LOST, seed=None)) == NotThere()


def test_a_task_that_shows_no_seed_yet_is_looked_at_again_before_people_are_asked() -> None:
    """Ark may show a task's seed only once its video is finished."""
    assert isinstance(judge(replace(TASK, seed=None)), NotYet)
    assert judge(TASK) == Found(TASK)


def test_all_that_can_change_a_verdict_is_relevant() -> None:
    long_ago = SENT - timedelta(days=3)
    for task in (TASK, replace(OTHER, created_at=None), replace(TASK, created_at=long_ago)):
        assert lost_answers.is_relevant(task, [LOST])
    assert lost_answers.is_relevant(replace(OTHER, created_at=long_ago, reference="ref-1"), [LOST])
    assert not lost_answers.is_relevant(replace(OTHER, created_at=long_ago, reference="ref-9"), [LOST])
