"""The report of the lab: which failures by SUBMIT_DEADLINE an outage has caused, and which the upstream itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from generations.models import Attempt, Generation
from tests.faults import report
from tests.faults.lab import SUBMIT_DEADLINE
from tests.support.factories import Caller, make_generation

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def lab(*outages: tuple[float, float]) -> Any:
    return SimpleNamespace(outages=[(after(began), after(ended)) for began, ended in outages])


def refused(caller: Caller, *moments: float) -> Generation:
    """Return a generation that the upstream has refused at these seconds."""
    generation = make_generation(caller)
    for number, moment in enumerate(moments, 1):
        facts = {"started_at": after(moment), "finished_at": after(moment), "outcome": "not_created"}
        Attempt.objects.create(generation=generation, number=number, **facts)
    return generation


@pytest.mark.parametrize(
    ("moments", "outages", "was_refused"),
    [
        ([0, SUBMIT_DEADLINE], [], True),
        ([0, SUBMIT_DEADLINE - 1], [], False),
        ([0], [], False),
        ([0, SUBMIT_DEADLINE + 5], [(1, 6)], True),
        ([0, SUBMIT_DEADLINE + 4], [(1, 6)], False),
        ([0, SUBMIT_DEADLINE + 4], [(-9, 3), (5, 7)], False),
        ([0, SUBMIT_DEADLINE], [(-9, -3), (SUBMIT_DEADLINE + 1, SUBMIT_DEADLINE + 2)], True),
    ],
)
def test_only_the_time_without_outages_is_the_upstreams_own_refusal(
    alice: Caller, moments: list[float], outages: list[tuple[float, float]], was_refused: bool
) -> None:
    assert report._was_refused(lab(*outages), refused(alice, *moments)) == was_refused


def test_an_outage_is_outlived_by_what_waited_for_longer_than_the_deadline() -> None:
    outage = lab((0, 2 * SUBMIT_DEADLINE))
    row = SimpleNamespace(created_at=after(-5), submitted_at=after(3 * SUBMIT_DEADLINE))
    assert report._outlived(outage, [row]) == [row]
    assert report._outlived(outage, [SimpleNamespace(created_at=after(-5), submitted_at=after(1))]) == []
    assert report._outlived(outage, [SimpleNamespace(created_at=after(-5), submitted_at=None)]) == []
    late = SimpleNamespace(created_at=after(2 * SUBMIT_DEADLINE - 1), submitted_at=after(99))
    assert report._outlived(outage, [late]) == []


def test_the_tests_that_the_report_names_exist() -> None:
    assert all((ROOT / path).is_file() for path in report.OWN_TESTS.values())


def test_the_sum_counts_each_violation_by_what_it_means() -> None:
    promises = [
        report.Promise("G1 accepted is durable", 5, "answers", ["a", "b"]),
        report.Promise("G6 no POST without an attempt on record", 5, "POSTs", ["c"]),
        report.Promise("G10 the ledger balances", 5, "windows"),
        report.Promise("G25 no deadline counts an outage", 5, "outages outlived", ["d"]),
        report.Promise("G18 no secret in any log or queue", 5, "bytes", ["e"]),
        report.Promise("G31 a lost answer is found without people where there is a list", 5, "answers", ["f"]),
    ]
    assert report.in_sum(promises) == (
        "2 lost, 1 paid twice, 1 in doubt for people although there is a list, 0 served with wrong bytes, "
        "0 out of balance, 1 failed by a deadline that an outage used up"
    )
