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
        throttle.count_failure("192.0.2.1")
    return throttle


def test_a_window_begins_with_the_first_wrong_key_and_no_later_one_prolongs_it(
    full: WrongKeyThrottle, clock: Clock
) -> None:
    with pytest.raises(TooManyFailures) as refused:
        full.count_failure("192.0.2.1")
    assert refused.value.facts == {
        "retry_after": WINDOW_SECONDS - (MAX_WRONG_KEYS - 1) + 1
    }  # at the second that the last one came
    clock.now = WINDOW_SECONDS
    for _ in range(MAX_WRONG_KEYS):  # a new window
        full.count_failure("192.0.2.1")
    with pytest.raises(TooManyFailures):
        full.count_failure("192.0.2.1")


def test_another_address_has_a_window_of_its_own(full: WrongKeyThrottle) -> None:
    full.count_failure("192.0.2.2")


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    many = WrongKeyThrottle(clock)
    for number in range(MAX_REMEMBERED + 10):
        many.count_failure(f"address {number}")
    assert len(many._windows) == MAX_REMEMBERED
