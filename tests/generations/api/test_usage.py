"""GET /v1/usage: counts, seconds, USD and the success rate, as JSON and as CSV."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from tenants import actions
from tests.generations.test_lifecycle import put_in
from tests.support.factories import ACTOR, Caller, make_generation

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRICE = 88_209


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def usage(caller: Caller, **query: str) -> Any:
    answer = caller.http.get("/v1/usage", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_usage_counts_succeeded_failed_and_running_generations(alice: Caller) -> None:
    for status in ("succeeded", "succeeded", "failed", "running"):
        put_in(alice, status)
    report = usage(alice)
    assert (report["from"], report["to"], report["group_by"], report["test"]) == (
        "2026-11-01",
        "2026-11-24",
        "day",
        False,
    )
    total = {
        "accepted": 4,
        "succeeded": 2,
        "failed": 1,
        "cancelled": 0,
        "live": 1,
        "seconds": 10,
        "usd": "0.176418",
        "held_usd": "0.088209",
        "success_rate": 0.6667,
    }
    assert report["total"] == total
    assert report["rows"] == [{"day": "2026-11-24", **total}]


def test_without_usage_there_are_no_rows(alice: Caller) -> None:
    report = usage(alice)
    assert report["rows"] == []
    assert (report["total"]["accepted"], report["total"]["usd"], report["total"]["success_rate"]) == (
        0,
        "0.000000",
        None,
    )


def test_days_are_the_tenants_own(alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, time_zone="Europe/Berlin")
    make_generation(alice, created_at=datetime(2026, 11, 23, 22, 59, tzinfo=UTC))
    make_generation(alice, created_at=datetime(2026, 11, 23, 23, 1, tzinfo=UTC))
    assert [row["day"] for row in usage(alice)["rows"]] == ["2026-11-23", "2026-11-24"]
    assert usage(alice, **{"from": "2026-11-24"})["total"]["accepted"] == 1


def test_usage_is_grouped_by_key_and_by_resolution(alice: Caller) -> None:
    other = alice.with_key()
    make_generation(alice)
    make_generation(alice, resolution="720p")
    make_generation(other, resolution="720p")
    by_key = {row["key"]: row["accepted"] for row in usage(alice, group_by="key")["rows"]}
    assert by_key == {alice.key.prefix: 2, other.key.prefix: 1}
    by_resolution = {row["resolution"]: row["accepted"] for row in usage(alice, group_by="resolution")["rows"]}
    assert by_resolution == {"480p": 1, "720p": 2}


def test_usage_is_grouped_by_model(alice: Caller) -> None:
    put_in(alice, "succeeded")
    make_generation(alice, model="kling-v3.0-std-t2v", duration=3)
    rows = {
        row["model"]: (row["accepted"], row["usd"], row["held_usd"]) for row in usage(alice, group_by="model")["rows"]
    }
    assert rows == {
        "kling-v3.0-std-t2v": (1, "0.000000", "0.252000"),
        "seedance-v1-lite-i2v": (1, "0.088209", "0.000000"),
    }


def test_models_without_a_resolution_are_a_row_of_their_own(alice: Caller) -> None:
    make_generation(alice)
    for _ in range(2):
        make_generation(alice, model="kling-v3.0-std-t2v")
    rows = usage(alice, group_by="resolution")["rows"]
    assert [(row["resolution"], row["accepted"]) for row in rows] == [(None, 2), ("480p", 1)]
    answer = alice.http.get("/v1/usage", {"group_by": "resolution", "format": "csv"})
    assert [row["resolution"] for row in csv.DictReader(io.StringIO(answer.content.decode()))] == ["", "480p"]


def test_both_days_are_included(alice: Caller) -> None:
    for day in (9, 10, 11, 12):
        make_generation(alice, created_at=datetime(2026, 11, day, 12, tzinfo=UTC))
    report = usage(alice, **{"from": "2026-11-10", "to": "2026-11-11"})
    assert [row["day"] for row in report["rows"]] == ["2026-11-10", "2026-11-11"]


@pytest.mark.parametrize(("query", "accept"), [({"format": "csv"}, "*/*"), ({}, "text/csv")])
def test_the_same_as_csv(alice: Caller, query: dict[str, str], accept: str) -> None:
    put_in(alice, "succeeded")
    answer = alice.http.get("/v1/usage", query, headers={"Accept": accept})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (row["day"], row["succeeded"], row["usd"], row["success_rate"]) == ("2026-11-24", "1", "0.088209", "1.0")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "from"),
        ({"from": "2020-01-01"}, "from"),
        ({"from": "20261124"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"to": ""}, "to"),
        ({"group_by": ""}, "group_by"),
        ({"format": ""}, "format"),
        ({"to": "0001-01-01"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"group_by": "tenant"}, "group_by"),
        ({"format": "xml"}, "format"),
        ({"from": "2026-11-24\0"}, "from"),
    ],
)
def test_a_wrong_parameter_is_named(alice: Caller, query: dict[str, str], field: str) -> None:
    answer = alice.http.get("/v1/usage", query)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("headers", [{"Accept": "text/csv"}, {"Accept": "*/*"}])
def test_another_method_is_refused_in_json(alice: Caller, headers: dict[str, str]) -> None:
    answer = alice.http.options("/v1/usage", headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")


def test_an_error_to_a_reader_of_csv_is_problem_details(alice: Caller) -> None:
    answer = alice.http.get("/v1/usage", {"group_by": "x", "format": "csv"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize("query", [{}, {"format": "csv"}])
def test_who_has_the_usage_already_gets_304_until_it_changes(alice: Caller, query: dict[str, str]) -> None:
    put_in(alice, "succeeded")
    first = alice.http.get("/v1/usage", query, HTTP_ACCEPT_ENCODING="gzip")
    assert (first["Cache-Control"], first["Vary"]) == ("private, no-cache", "Accept, Accept-Encoding")
    assert "Content-Encoding" not in first  # such an answer is sent once: its compression would cost more than it saves
    again = alice.http.get("/v1/usage", query, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    put_in(alice, "running")
    assert alice.http.get("/v1/usage", query, HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


def test_another_tenants_usage_is_not_included(alice: Caller, bob: Caller) -> None:
    make_generation(alice)
    assert usage(bob)["total"]["accepted"] == 0
