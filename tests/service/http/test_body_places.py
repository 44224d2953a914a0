"""Who gets a place to send a body, who waits for one, and who is refused."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest

from seedance_service.http import body_places
from seedance_service.http.body_places import BodyPlaces
from tenants.errors import TooManyBodies
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.hostile import APIS, RIGHT, Api
from tests.support.patience import PATIENCE

ALICE, BOB, CAROL = "alice", "bob", "carol"


def patient() -> BodyPlaces:
    """Return places whose bodies stay quick for longer than any test takes."""
    return BodyPlaces(places=4, caller_places=2, quick_seconds=60.0)


def impatient() -> BodyPlaces:
    """Return places whose bodies are slow at once."""
    return BodyPlaces(places=4, caller_places=2, quick_seconds=0.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(10) as threads:
        yield threads


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so: a thread that waits for a place shows it by `waiting` alone."""
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.001)


def take_all(places: BodyPlaces, *callers: str) -> list[object]:
    """Take two places for each caller, and return their holders."""
    holders = [object() for _ in range(2 * len(callers))]
    for number, holder in enumerate(holders):
        places.take(holder, callers[number // 2])
    return holders


def test_a_body_waits_for_quick_bodies_of_its_caller(pool: ThreadPoolExecutor) -> None:
    places = patient()
    first, _ = take_all(places, ALICE)
    third = pool.submit(places.take, "third", ALICE)
    until(lambda: places.waiting == 1)
    places.take("another tenant's", BOB)
    assert not third.done()
    places.give_back(first)
    third.result(10)


def test_a_body_waits_for_quick_bodies_of_all_callers(pool: ThreadPoolExecutor) -> None:
    places = patient()
    first, *_ = take_all(places, ALICE, BOB)
    waiting = pool.submit(places.take, "another", CAROL)
    until(lambda: places.waiting == 1)
    places.give_back(first)
    waiting.result(10)


def test_no_body_waits_for_slow_ones() -> None:
    places = impatient()
    first, *_ = take_all(places, ALICE, BOB)
    for caller in (ALICE, CAROL):
        with pytest.raises(TooManyBodies) as refused:
            places.take("another", caller)
        assert refused.value.facts == {"retry_after": body_places.RETRY_AFTER_SECONDS}
    places.give_back(first)
    places.take("another", CAROL)


def test_a_wait_ends_when_the_bodies_before_it_turn_slow() -> None:
    places = BodyPlaces(places=4, caller_places=2, quick_seconds=0.05)
    take_all(places, ALICE)
    with pytest.raises(TooManyBodies):
        places.take("third", ALICE)
    assert places.waiting == 0


def test_few_wait_for_places_of_which_a_slow_body_holds_one(pool: ThreadPoolExecutor) -> None:
    now = [0.0]
    places = BodyPlaces(places=4, caller_places=2, quick_seconds=60.0, timer=lambda: now[0])
    places.take("slow", ALICE)
    now[0] = 61.0
    places.take("quick", ALICE)
    waiting = [pool.submit(places.take, number, ALICE) for number in range(body_places.WAITERS_AMONG_SLOW)]
    until(lambda: places.waiting == len(waiting))
    with pytest.raises(TooManyBodies):
        places.take("one more", ALICE)
    for holder in ("slow", "quick"):
        places.give_back(holder)
    for one in waiting:
        one.result(10)


def test_any_number_waits_for_quick_bodies(pool: ThreadPoolExecutor) -> None:
    places = patient()
    holders = take_all(places, ALICE)
    numbers = {pool.submit(places.take, number, ALICE): number for number in range(10)}
    until(lambda: places.waiting == 10)
    for holder in holders:
        places.give_back(holder)
    while numbers:
        done, _ = wait(numbers, return_when=FIRST_COMPLETED)
        for one in done:
            places.give_back(numbers.pop(one))


def test_the_oldest_age_is_that_of_the_oldest_place() -> None:
    places = patient()
    assert places.oldest_age() == 0
    first, second = take_all(places, ALICE)
    until(lambda: places.oldest_age() > 0.01)
    for holder in (first, second):
        places.give_back(holder)
    assert places.oldest_age() == 0


@pytest.fixture
def full(monkeypatch: Any) -> Iterator[Callable[[str | int], None]]:
    """Yield a function that takes all places of a caller for bodies that are slow."""
    monkeypatch.setattr(body_places.places, "quick_seconds", 0.0)
    taken: list[object] = []

    def fill(caller: str | int) -> None:
        for _ in range(body_places.CALLER_PLACES):
            taken.append(object())
            body_places.places.take(taken[-1], caller)

    yield fill
    for holder in taken:
        body_places.places.give_back(holder)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_a_refusal_says_when_to_send_the_body_again(alice: Caller, bob: Caller, full: Any, api: Api) -> None:
    full(alice.tenant.pk)
    refused = api.send(alice, RIGHT)
    assert (refused.status_code, refused["Retry-After"], refused["Connection"]) == (503, "5", "close")
    assert refused.json()["code"] == ("too_many_bodies" if api.name == "v1" else 503)
    assert api.send(bob, RIGHT).status_code == api.accepted
    assert alice.http.get("/v1/generations").status_code == 200


def test_a_form_of_the_panel_is_refused_as_text(admin_client: Client, full: Any) -> None:
    full("")
    refused = admin_client.post("/admin/login/", {"username": "x", "password": "y"})
    assert (refused.status_code, refused["Retry-After"], refused["Content-Type"]) == (503, "5", "text/plain")
    assert "Try again later" in refused.content.decode()
