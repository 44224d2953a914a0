"""Dear computations take turns: one at a time for each holder, and shared by those who asked before it began."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from generations.reports.turns import MAX_SHARED, Turns, _Line

WAIT = 10.0  # seconds until a test that hangs fails


class Computation:
    """A computation that the test ends, and the numbers of those that began."""

    def __init__(self) -> None:
        self.began, self.ends = threading.Semaphore(0), threading.Semaphore(0)
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        number = self.count
        self.began.release()
        assert self.ends.acquire(timeout=WAIT)
        return number


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for a state that has no event: how many are in a line."""
    ends = threading.Event()
    for _ in range(int(WAIT * 1000)):
        if is_true():
            return
        ends.wait(0.001)
    raise AssertionError("it did not come to that")


def users(turns: Turns[Any], holder: str) -> int:
    line = turns._lines.get(holder)
    return line.users if line else 0


def test_those_who_asked_before_it_began_share_one_computation() -> None:
    turns, compute = Turns[int](), Computation()
    with ThreadPoolExecutor(17) as pool:
        first = pool.submit(turns.result, "a", "q", compute)
        assert compute.began.acquire(timeout=WAIT)
        late: list[Future[int]] = [pool.submit(turns.result, "a", "q", compute) for _ in range(16)]
        wait_until(lambda: users(turns, "a") == 17)
        compute.ends.release()
        assert first.result(WAIT) == 1
        assert compute.began.acquire(timeout=WAIT), "who asks amid a computation does not get its result"
        compute.ends.release()
        assert [one.result(WAIT) for one in late] == [2] * 16
    assert compute.count == 2
    assert turns._lines == {}


def test_other_holders_and_not_other_questions_are_computed_meanwhile() -> None:
    turns, compute, other = Turns[int](), Computation(), Computation()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(turns.result, "a", "q", compute)
        assert compute.began.acquire(timeout=WAIT)
        second = pool.submit(turns.result, "a", "another question", other)
        wait_until(lambda: users(turns, "a") == 2)
        assert turns.result("b", "q", lambda: 7) == 7
        assert other.count == 0
        compute.ends.release()
        other.ends.release()
        assert (first.result(WAIT), second.result(WAIT)) == (1, 1)


def test_a_later_question_gets_a_later_result() -> None:
    turns = Turns[int]()
    numbers = iter(range(9))
    assert [turns.result("a", "q", lambda: next(numbers)) for _ in range(3)] == [0, 1, 2]


def test_an_error_is_that_of_the_one_who_computed() -> None:
    turns, began, ends = Turns[int](), threading.Event(), threading.Event()

    def fails() -> int:
        began.set()
        assert ends.wait(WAIT)
        raise LookupError

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(turns.result, "a", "q", fails)
        assert began.wait(WAIT)
        second = pool.submit(turns.result, "a", "q", lambda: 5)
        wait_until(lambda: users(turns, "a") == 2)
        ends.set()
        with pytest.raises(LookupError):
            first.result(WAIT)
        assert second.result(WAIT) == 5
    assert turns._lines == {}


def test_few_results_stay_in_memory_while_a_line_lasts() -> None:
    turns, compute = Turns[int](), Computation()
    with ThreadPoolExecutor(2) as pool:
        line = turns._lines.setdefault("a", _Line())
        line.users += 1  # another thread always waits
        for number in range(3 * MAX_SHARED):
            compute.ends.release()
            assert pool.submit(turns.result, "a", number, compute).result(WAIT) == number + 1
        assert len(line.results) <= MAX_SHARED
