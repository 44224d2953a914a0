"""GET /v1/limits, and the limits in a create's answer: in headers, and in a refusal in the API's format."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from generations import lifecycle
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.usefixtures("bucket")
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
APIS = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]


def limits(caller: Caller) -> dict[tuple[str, str], dict[str, Any]]:
    rows = caller.http.get("/v1/limits").json()["limits"]
    return {(row["scope"], row["name"]): row for row in rows}


@time_machine.travel(NOW, tick=False)
def test_each_limit_shows_what_is_used_what_is_left_and_when_it_resets(alice: Caller) -> None:
    alice.limit(requests_per_minute=5, in_flight=3, per_day=10, seconds_per_month=100, usd_per_month_micro=1_000_000)
    alice.limit_key(per_day=2)
    make_generation(alice)
    answer = alice.http.get("/v1/limits").json()
    assert (answer["tenant"], answer["time_zone"], answer["suspended"], answer["test"]) == (
        "alice",
        "UTC",
        False,
        False,
    )
    assert answer["limits"] == [
        row("requests_per_minute", 5, 1, 4, "2026-11-24T12:01:00Z"),
        row("in_flight", 3, 1, 2, None),
        row("per_day", 10, 1, 9, "2026-11-25T00:00:00Z"),
        row("per_month", None, 1, None, "2026-12-01T00:00:00Z"),
        row("seconds_per_month", 100, 5, 95, "2026-12-01T00:00:00Z"),
        row("usd_per_month", "1.000000", "0.088209", "0.911791", "2026-12-01T00:00:00Z"),
        row("per_day", 2, 1, 1, "2026-11-25T00:00:00Z", "key"),
    ]


def row(name: str, limit: Any, used: Any, remaining: Any, resets_at: str | None, scope: str = "tenant") -> Any:
    return {
        "name": name,
        "scope": scope,
        "limit": limit,
        "used": used,
        "remaining": remaining,
        "resets_at": resets_at,
    }


@time_machine.travel(NOW, tick=False)
def test_who_has_the_limits_already_gets_304_until_they_change(alice: Caller) -> None:
    first = alice.http.get("/v1/limits")
    assert first["Cache-Control"] == "private, no-cache"
    again = alice.http.get("/v1/limits", HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    make_generation(alice)
    assert alice.http.get("/v1/limits", HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


@time_machine.travel(NOW, tick=False)
def test_reading_counts_towards_no_limit(alice: Caller) -> None:
    alice.limit(requests_per_minute=1)
    generation = make_generation(alice)
    before = limits(alice)
    for path in ("/v1/limits", "/v1/usage", f"/v1/generations/{generation.pk}", "/v1/generations"):
        assert alice.http.get(path).status_code == 200
    assert limits(alice) == before


@time_machine.travel(NOW, tick=False)
def test_a_generation_that_fails_releases_all_but_the_minute(alice: Caller) -> None:
    generation = make_generation(alice)
    lifecycle.fail(generation, "code", "Why.")
    used = {name: entry["used"] for (_, name), entry in limits(alice).items()}
    assert used == {
        "requests_per_minute": 1,
        "in_flight": 0,
        "per_day": 0,
        "per_month": 0,
        "seconds_per_month": 0,
        "usd_per_month": "0.000000",
    }


@pytest.mark.parametrize("path", APIS)
def test_a_create_has_the_tightest_limit_in_its_headers(alice: Caller, body: dict[str, Any], path: str) -> None:
    alice.limit(per_day=10, per_month=1000)
    with time_machine.travel(NOW, tick=False):
        answer = alice.http.post(path, body, format="json")
    assert answer["RateLimit-Policy"] == '"per_day";q=10;w=86400'
    assert answer["RateLimit"] == '"per_day";r=9;t=43170'


def test_without_limits_a_create_has_no_limit_headers(alice: Caller, body: dict[str, Any]) -> None:
    assert "RateLimit" not in alice.http.post("/v1/generations", body, format="json")


WORDS = {
    "requests_per_minute": ("1", "0", "1", 30),
    "in_flight": ("1", "0", "1", 5),
    "per_day": ("1", "0", "1", 43170),
    "per_month": ("1", "0", "1", 561570),
    "seconds_per_month": ("7", "2", "5", 561570),
    "usd_per_month": ("0.100000", "0.011791", "0.088209", 561570),
}
FIELDS = {"seconds_per_month": ("seconds_per_month", 7), "usd_per_month": ("usd_per_month_micro", 100_000)}


@pytest.mark.parametrize("of_key", [False, True], ids=["tenant", "key"])
@pytest.mark.parametrize("name", WORDS)
def test_a_refusal_says_which_limit_what_is_left_and_when_to_come_back(
    alice: Caller, body: dict[str, Any], name: str, of_key: bool
) -> None:
    limit, remaining, required, seconds = WORDS[name]
    field, value = FIELDS.get(name, (name, 1))
    (alice.limit_key if of_key else alice.limit)(**{field: value})
    money = name == "usd_per_month"
    with time_machine.travel(NOW, tick=False):
        assert alice.http.post("/v1/generations", body, format="json").status_code == 202
        native, wire = (alice.http.post(path, body, format="json") for path in APIS)
    payload = native.json()
    assert (native.status_code, payload["code"]) == ((402, "budget_reached") if money else (429, "limit_reached"))
    assert payload["limit"]["name"] == name
    assert payload["limit"]["scope"] == ("key" if of_key else "tenant")
    amounts = (payload["limit"]["limit"], payload["limit"]["remaining"], payload["limit"]["wanted"])
    assert tuple(map(str, amounts)) == (limit, remaining, required)
    assert f"{remaining} remaining" in payload["detail"]
    assert wire.status_code == (400 if money else 429)
    envelope = wire.json()
    assert envelope["reason"] == ("BILLING_BALANCE_NOT_ENOUGH" if money else "RATE_LIMIT_EXCEEDED")
    assert (envelope["metadata"]["name"], envelope["metadata"]["remaining"]) == (name, remaining)
    assert native["Retry-After"] == wire["Retry-After"] == str(seconds + (name != "in_flight"))
    assert f";r={remaining if not money else 11791}" in native["RateLimit"]


def test_of_several_full_limits_the_one_that_takes_longest_is_named(alice: Caller, body: dict[str, Any]) -> None:
    alice.limit(in_flight=0, per_day=0, requests_per_minute=0)
    with time_machine.travel("2026-07-29T12:00:00Z", tick=False):  # in a day's last minute both come back at once
        assert alice.http.post("/v1/generations", body, format="json").json()["limit"]["name"] == "per_day"


def test_a_refused_create_leaves_nothing_in_the_bucket(alice: Caller, bucket: Any, body: dict[str, Any]) -> None:
    alice.limit(per_day=0)
    assert alice.http.post("/v1/generations", body, format="json").status_code == 429
    assert bucket.list_objects_v2(Bucket="seedance-tests")["KeyCount"] == 0


def test_a_key_without_the_scope_reads_neither_limits_nor_use(alice: Caller) -> None:
    other = alice.with_key(scopes=["generations:read", "generations:write"])
    for path in ("/v1/limits", "/v1/usage"):
        assert other.http.get(path).json()["code"] == "scope_missing"


def test_a_keys_cap_leaves_the_tenants_other_keys_alone(alice: Caller) -> None:
    alice.limit_key(in_flight=0)
    assert make_generation(alice.with_key()).status == "queued"
