"""The throttle refuses an address that has shown too many wrong keys, until the window ends."""

import pytest

from tenants.errors import TooManyFailures
from tenants.keys.throttle import MAX_REMEMBERED, MAX_WRONG_KEYS, WINDOW_SECONDS, WrongKeyThrottle
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def full(clock: Clock) -> WrongKeyThrottle:
    """Return a throttle to which an address has shown as many wrong keys as it may, one each second."""
    throttle = WrongKeyThrottle(clock)
    for second in range(MAX_WRONG_KEYS):
        clock.now = second
        throttle.check("192.0.2.1", "wrong")
        throttle.count_failure("192.0.2.1")
    return throttle


def test_a_window_begins_with_the_first_wrong_key_and_no_later_one_prolongs_it(
    full: WrongKeyThrottle, clock: Clock
) -> None:
    with pytest.raises(TooManyFailures) as refused:
        full.check("192.0.2.1", "wrong")
    assert refused.value.facts == {
        "retry_after": WINDOW_SECONDS - (MAX_WRONG_KEYS - 1) + 1
    }  # at the second that the last one came
    full.count_failure("192.0.2.1")
    clock.now = WINDOW_SECONDS
    full.check("192.0.2.1", "wrong")
    full.count_failure("192.0.2.1")  # the first of a new window
    full.check("192.0.2.1", "wrong")


def test_a_good_key_is_let_in_from_a_guessers_address(full: WrongKeyThrottle) -> None:
    full.remember_good("right")
    full.check("192.0.2.1", "right")


def test_a_key_in_use_stays_remembered_however_many_others_come(full: WrongKeyThrottle) -> None:
    full.remember_good("right")
    for number in range(2 * MAX_REMEMBERED):
        full.remember_good(f"key {number}")
        if number % 1000 == 0:
            full.remember_good("right")
    full.check("192.0.2.1", "right")


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    many = WrongKeyThrottle(clock)
    for number in range(MAX_REMEMBERED + 10):
        many.count_failure(f"address {number}")
        many.remember_good(f"key {number}")
    assert (len(many._windows), len(many._good)) == (MAX_REMEMBERED, MAX_REMEMBERED)
