"""Many creates at one moment in several processes: exactly as many are admitted as the limit, on both databases.

A naive count admits too many in the same run, which proves that the race is real. RACE_TRIALS is how often each race
is run.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from generations.catalog import prices, video_models
from tests.races.racers import CALLERS, MIXED, OTHER_CALLERS, OTHER_MODEL, WARNED, Racers
from tests.support.databases import postgres_url
from tests.support.programs import skip_or_fail

LIMIT = 37
TRIALS = int(os.environ.get("RACE_TRIALS", "5"))
PRICE = prices.price_micro(video_models.default(), {"resolution": "480p", "aspect_ratio": "16:9", "duration": 5})
LIMITS = {
    "requests_per_minute": LIMIT,
    "in_flight": LIMIT,
    "per_day": LIMIT,
    "per_month": LIMIT,
    "seconds_per_month": LIMIT * 5 + 4,
    "usd_per_month_micro": LIMIT * PRICE + PRICE - 1,
}
CASES = [(limit, of_key) for of_key in (False, True) for limit in LIMITS]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def racers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Racers]:
    """Start the processes on a new database."""
    if request.param == "sqlite":
        yield from _run(f"sqlite:///{tmp_path_factory.mktemp('races') / 'races.sqlite3'}")
        return
    server = postgres_url()
    if server is None:
        skip_or_fail("PostgreSQL does not answer")
    name = f"races_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield from _run(urlsplit(server)._replace(path=f"/{name}").geturl())
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _run(url: str) -> Iterator[Racers]:
    """Start the processes on the database, and create the tables."""
    racers = Racers(url)
    try:
        racers.call("migrate")
        yield racers
    finally:
        racers.stop()


def count_admitted(racers: Racers, limit: str, of_key: bool) -> int:
    """Run a race and return how many creates were admitted. A race in two minutes had two windows: run it again."""
    while True:
        key_id = racers.call("tenant", {limit: LIMITS[limit]}, of_key)
        outcome = racers.race(key_id)
        facts = racers.call("facts", key_id)
        assert outcome.errors == []
        assert outcome.admitted + outcome.refused == CALLERS
        assert (facts["generations"], facts["differences"]) == (outcome.admitted, 0)
        if facts["minutes"] == 1:
            return outcome.admitted


@pytest.mark.parametrize(("limit", "of_key"), CASES, ids=[f"{limit}{'-of-key' * of_key}" for limit, of_key in CASES])
def test_exactly_the_limit_is_admitted(racers: Racers, limit: str, of_key: bool) -> None:
    assert [count_admitted(racers, limit, of_key) for _ in range(TRIALS)] == [LIMIT] * TRIALS


@pytest.mark.parametrize("in_flight", [25, 60], ids=["places-first", "money-first"])
def test_models_of_different_prices_share_a_budget_and_the_places_in_flight(racers: Racers, in_flight: int) -> None:
    """Nothing is admitted above a limit, and nothing is refused for which both limits had capacity to the end."""
    prices_micro = {video_models.DEFAULT_ID: PRICE, OTHER_MODEL: 252_000}
    callers_of = {video_models.DEFAULT_ID: CALLERS - OTHER_CALLERS, OTHER_MODEL: OTHER_CALLERS}
    budget = 20 * sum(prices_micro.values()) - 1
    for _ in range(TRIALS):
        key_id = racers.call("tenant", {"usd_per_month_micro": budget, "in_flight": in_flight}, False)
        outcome = racers.race(key_id, how=MIXED)
        facts = racers.call("facts", key_id)
        assert outcome.errors == []
        assert outcome.admitted + outcome.refused == CALLERS
        assert (facts["generations"], facts["differences"]) == (outcome.admitted, 0)
        spent = sum(count * prices_micro[model] for model, count in facts["models"].items())
        assert facts["usd_micro"] == spent <= budget
        assert outcome.admitted <= in_flight
        for model, price in prices_micro.items():  # what is used only grows in a race: what was refused stays too much
            if facts["models"][model] < callers_of[model]:
                assert outcome.admitted == in_flight or spent + price > budget


def test_a_limit_lowered_during_a_race_holds_from_that_moment_on(racers: Racers) -> None:
    for _ in range(TRIALS):
        key_id = racers.call("tenant", {"in_flight": 80}, False)
        outcome = racers.race(key_id, lower_to=20)
        assert outcome.errors == []
        assert outcome.used_when_lowered is not None
        assert outcome.admitted == max(20, outcome.used_when_lowered)
        assert racers.call("facts", key_id)["differences"] == 0


@pytest.mark.parametrize("of_key", [False, True], ids=["tenant", "key"])
def test_each_share_of_a_limit_is_warned_of_once_however_many_cross_it(racers: Racers, of_key: bool) -> None:
    for _ in range(TRIALS):
        key_id = racers.call("tenant", {"per_month": CALLERS}, of_key)
        outcome = racers.race(key_id, how=WARNED)
        assert (outcome.admitted, outcome.errors) == (CALLERS, [])
        assert racers.call("warnings", key_id) == [[50, 80, 100]] * 2


def test_the_race_is_real(racers: Racers) -> None:
    """The naive count admits more than the limit, with the same start of the threads."""
    key_id = racers.call("tenant", {}, False)
    outcome = racers.race(key_id, how=str(LIMIT))
    assert outcome.errors == []
    assert outcome.admitted > LIMIT
