"""The cache spares the query for a key that was read just now, and operators' changes hold at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import actions
from tenants.keys import key_cache, lookup
from tenants.keys.key_cache import KeyCache, cached_keys
from tenants.models import ApiKey, Tenant
from tests.support.clock import Clock
from tests.support.factories import ACTOR, Caller

PATH = "/v1/limits"


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    """Return the clock by which the entries of this process's cache expire."""
    clock = Clock()
    monkeypatch.setattr(lookup, "cached_keys", KeyCache(clock))
    return clock


def key(number: int) -> ApiKey:
    """Return a key that is in no database, whose text is "key {number}"."""
    return ApiKey(pk=number, digest=key_cache.digest(f"key {number}"), tenant=Tenant(pk=number))


def test_a_change_by_another_process_takes_effect_within_three_seconds(alice: Caller, clock: Clock) -> None:
    assert alice.http.get(PATH).status_code == 200
    actions.revoke_key(ACTOR, alice.key)  # drops it from a cache that is not this one
    for clock.now in (1.0, 2.0, 2.9):  # a request that the cache serves does not prolong the entry
        assert alice.http.get(PATH).status_code == 200
    clock.now = 3.0
    assert alice.http.get(PATH).status_code == 401


def test_a_key_is_read_from_the_database_once_in_three_seconds(alice: Caller, clock: Clock) -> None:
    alice.http.get(PATH)
    with CaptureQueriesContext(connection) as queries:
        alice.http.get(PATH)
        clock.now = 3.0
        alice.http.get(PATH)
        alice.http.get(PATH)
    assert len([query for query in queries if 'FROM "tenants_apikey"' in query["sql"]]) == 1


CHANGES: dict[str, Callable[[Caller], Any]] = {
    "name": lambda caller: actions.change_tenant(ACTOR, caller.tenant, name="alice & co"),
    "time zone": lambda caller: actions.change_tenant(ACTOR, caller.tenant, time_zone="Asia/Tokyo"),
    "tenant's limit": lambda caller: actions.change_tenant(ACTOR, caller.tenant, in_flight=3),
    "suspended": lambda caller: actions.suspend(ACTOR, caller.tenant),
    "tenant's networks": lambda caller: actions.change_tenant(ACTOR, caller.tenant, allowed_networks=["192.0.2.7"]),
    "key's networks": lambda caller: actions.change_key(ACTOR, caller.key, allowed_networks=["192.0.2.7"]),
    "key's limit": lambda caller: actions.change_key(ACTOR, caller.key, per_day=1),
    "revoked": lambda caller: actions.revoke_key(ACTOR, caller.key),
    "rolled": lambda caller: actions.roll_key(ACTOR, caller.key, timedelta(0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_operators_change_holds_for_the_next_request(alice: Caller, change: Callable[[Caller], Any]) -> None:
    before = alice.http.get(PATH)
    change(alice)
    after = alice.http.get(PATH)
    assert before.status_code == 200
    assert after.content != before.content
    cached_keys.clear()
    assert after.content == alice.http.get(PATH).content


def test_a_row_that_another_thread_read_before_the_commit_is_dropped_too(
    alice: Caller, django_capture_on_commit_callbacks: Any
) -> None:
    alice.http.get(PATH)
    read_before = cached_keys.get(alice.key_text)
    assert read_before
    with django_capture_on_commit_callbacks(execute=True):
        actions.change_tenant(ACTOR, alice.tenant, name="alice & co")
        cached_keys.put(read_before)
    assert alice.http.get(PATH).json()["tenant"] == "alice & co"


def test_the_keys_of_others_stay(alice: Caller, bob: Caller) -> None:
    second = alice.with_key()
    for caller in (alice, second, bob):
        caller.http.get(PATH)
    actions.change_key(ACTOR, alice.key, per_day=1)
    assert [bool(cached_keys.get(caller.key_text)) for caller in (alice, second, bob)] == [False, True, True]
    actions.suspend(ACTOR, alice.tenant)
    assert [bool(cached_keys.get(caller.key_text)) for caller in (alice, second, bob)] == [False, False, True]


def test_a_key_that_expires_while_it_is_cached_is_refused(alice: Caller) -> None:
    caller = alice.with_key(expires_at=timezone.now() + timedelta(seconds=1))
    assert caller.http.get(PATH).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        assert cached_keys.get(caller.key_text) is None
        assert caller.http.get(PATH).status_code == 401


def test_no_more_keys_are_cached_than_stated(monkeypatch: Any) -> None:
    monkeypatch.setattr(key_cache, "MAX_KEYS", 5)
    cache = KeyCache()
    for number in range(7):
        cache.put(key(number))
        assert cache.get("key 0")  # it is in use
    assert [number for number in range(7) if cache.get(f"key {number}")] == [0, 3, 4, 5, 6]


def test_a_text_that_is_no_key_is_not_cached() -> None:
    assert KeyCache().get("unknown") is None
