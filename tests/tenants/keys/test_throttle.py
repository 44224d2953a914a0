"""How often an address may show a wrong key, by the clock of the window."""

import pytest

from tenants.errors import TooManyFailures
from tenants.keys.throttle import MAX_REMEMBERED, MOST, WINDOW, Failures
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guessed(clock: Clock) -> Failures:
    """An address has shown as many wrong keys as it may, one each second."""
    guessed = Failures(clock)
    for second in range(MOST):
        clock.now = second
        guessed.check("192.0.2.1", "wrong")
        guessed.count("192.0.2.1")
    return guessed


def test_a_window_begins_with_the_first_wrong_key_and_no_later_one_prolongs_it(guessed: Failures, clock: Clock) -> None:
    with pytest.raises(TooManyFailures) as refused:
        guessed.check("192.0.2.1", "wrong")
    assert refused.value.facts == {"retry_after": WINDOW - (MOST - 1) + 1}  # at the second that the last one came
    guessed.count("192.0.2.1")
    clock.now = WINDOW
    guessed.check("192.0.2.1", "wrong")
    guessed.count("192.0.2.1")  # the first of a new window
    guessed.check("192.0.2.1", "wrong")


def test_a_good_key_is_let_in_from_a_guessers_address(guessed: Failures) -> None:
    guessed.remember_good("right")
    guessed.check("192.0.2.1", "right")


def test_a_key_in_use_stays_remembered_however_many_others_come(guessed: Failures) -> None:
    guessed.remember_good("right")
    for number in range(2 * MAX_REMEMBERED):
        guessed.remember_good(f"key {number}")
        if number % 1000 == 0:
            guessed.remember_good("right")
    guessed.check("192.0.2.1", "right")


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    many = Failures(clock)
    for number in range(MAX_REMEMBERED + 10):
        many.count(f"address {number}")
        many.remember_good(f"key {number}")
    assert (len(many._windows), len(many._good)) == (MAX_REMEMBERED, MAX_REMEMBERED)
