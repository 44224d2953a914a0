"""Which connections are cut off, by what the kernel says of them at each check."""

import pytest

from seedance_service.http.stalled_connections import History, Traffic, is_stalled, limits

NEVER = 1e6  # seconds: nothing was sent or received since the connection was made
KIB = 1024


def is_cut_off(received: list[int], *, sent_ago: list[float] | None = None, received_ago: float = 0.0) -> bool:
    """Return whether the last of the checks cuts the connection off. Each check finds so many bytes received."""
    history = History(0.0, 0, 0)
    is_stalled_now = False
    for number, total in enumerate(received, start=1):
        now = number * limits.check_seconds
        traffic = Traffic(sent_ago[number - 1] if sent_ago else NEVER, received_ago, total)
        before, history = history, history.add(traffic, now)
        is_stalled_now = is_stalled(traffic, before, history, now)
    return is_stalled_now


def rising(step: int, checks: int = limits.min_arrivals) -> list[int]:
    return [step * number for number in range(1, checks + 1)]


@pytest.mark.parametrize("step", [1, 100, 100 * KIB])
def test_a_body_that_drips_in_is_cut_off(step: int) -> None:
    assert is_cut_off(rising(step))
    assert not is_cut_off(rising(step, limits.min_arrivals - 1))


def test_a_body_that_drips_with_long_pauses_is_cut_off() -> None:
    assert is_cut_off([total for total in rising(1) for _ in range(10)][:-9])


def test_a_large_body_that_comes_in_fast_enough_is_not() -> None:
    assert not is_cut_off(rising(200 * KIB, 100))


@pytest.mark.parametrize("arrivals", [1, 2, limits.min_arrivals])
def test_a_request_that_has_come_may_wait_for_its_answer(arrivals: int) -> None:
    assert not is_cut_off([*rising(100, arrivals), *[100 * arrivals] * 20])


def test_requests_that_are_answered_are_no_slow_body() -> None:
    checks = 4 * limits.min_arrivals
    assert not is_cut_off(rising(300, checks), sent_ago=[0.1] * checks)


@pytest.mark.parametrize(
    ("sent_ago", "received_ago", "cut"), [(NEVER, 91, True), (91, NEVER, True), (NEVER, 89, False)]
)
def test_only_a_connection_on_which_nothing_moves_for_long_is_cut_off(
    sent_ago: float, received_ago: float, cut: bool
) -> None:
    assert is_cut_off([0], sent_ago=[sent_ago], received_ago=received_ago) == cut
