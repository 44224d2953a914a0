"""Times have one format for each kind of reader, and are in UTC whatever their time zone."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants import times

AT = datetime(2026, 11, 2, 9, 30, 0, 123_456, tzinfo=UTC)
WHOLE = AT.replace(microsecond=0)
BERLIN = ZoneInfo("Europe/Berlin")


def test_an_answer_has_rfc_3339_with_microseconds_or_to_the_second() -> None:
    assert times.rfc3339(AT) == "2026-11-02T09:30:00.123456Z"
    assert times.rfc3339(WHOLE) == "2026-11-02T09:30:00.000000Z"
    assert times.rfc3339(WHOLE.replace(microsecond=60)) == "2026-11-02T09:30:00.000060Z"
    assert times.rfc3339(AT, "seconds") == "2026-11-02T09:30:00Z"


def test_the_audit_log_and_commands_have_iso_8601_with_an_offset() -> None:
    assert times.iso(AT) == "2026-11-02T09:30:00.123456+00:00"
    assert times.iso(WHOLE) == times.iso(AT, "seconds") == "2026-11-02T09:30:00+00:00"


def test_the_panel_shows_date_and_time() -> None:
    assert times.readable(AT) == "2026-11-02 09:30"
    assert times.readable(AT, "seconds") == "2026-11-02 09:30:00"
    assert times.local(AT, BERLIN) == "2026-11-02 10:30 CET"


def test_a_time_of_another_zone_is_the_same_instant_in_utc() -> None:
    there = AT.astimezone(BERLIN)
    assert times.rfc3339(there) == times.rfc3339(AT)
    assert times.iso(there) == times.iso(AT)
    assert times.readable(there) == times.readable(AT)


def test_none_stays_none() -> None:
    assert times.rfc3339(None) is times.iso(None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(f"2026-11-02{mark}09:30:00Z", WHOLE) for mark in "Tt "],
        *[
            (f"2026-11-02T09:30:00{offset}", WHOLE)
            for offset in ("z", "+00:00", "-00:00", "", " 00:00", "+00", "-0000")
        ],
        *[(f"2026-11-02T{time}", WHOLE) for time in ("10:30:00+01:00", "10:30:00 01:00", "04:00:00-05:30", "09:30Z")],
        *[("2026-11-03T09:29:00+23:59", WHOLE), ("2026-11-01T09:31:00-23:59", WHOLE)],
        *[(f"2026-11-02T09:30:00.{digits}Z", AT) for digits in ("123456", "123456000000", "1234551", "1234555555555")],
        *[(f"2026-11-02T09:30:00.{digits}Z", WHOLE) for digits in ("0", "000", "0" * 9000)],
        ("2026-11-02T09:30:00.5Z", WHOLE.replace(microsecond=500_000)),
        ("2026-11-02T09:29:59.9999999Z", WHOLE),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T00:59:60.25+01:00", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2000-02-29T00:00:00Z", datetime(2000, 2, 29, tzinfo=UTC)),
    ],
)
def test_rfc_3339_is_read_as_it_may_be_written(text: str, expected: datetime) -> None:
    assert times.parse_rfc3339(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "now",
            "2026-11-02",
            "2026-11-02T",
            "2026-11-02T09",
            "20261102T093000Z",
            "2026-306T09:30:00Z",
            "2026-11-2T09:30Z",
        ],
        *["1999-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z"],
        *[
            f"2026-11-02T{time}"
            for time in ("24:00:00Z", "09:60:00Z", "09:30:61Z", "09:30:60Z", "09:30:00.Z", "9:30:00Z")
        ],
        *[
            f"2026-11-02T09:30:00{end}"
            for end in ("+24:00", "+01:60", "+1:00", "+01:", "+", " ", "ZZ", "Z+01:00", "\n", "UTC")
        ],
        *[
            "2026-11-02_09:30:00Z",
            "2026-11-02  09:30:00Z",
            "\u0662026-11-02T09:30:00Z",
        ],
    ],
)
def test_what_is_no_time_by_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        times.parse_rfc3339(text)


@given(
    at=st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30)),  # noqa: DTZ001  # the zone is added below
    minutes=st.integers(-1439, 1439),
)
def test_every_time_that_is_written_is_read_again(at: datetime, minutes: int) -> None:
    there = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert times.parse_rfc3339(there.isoformat()) == there
    assert times.parse_rfc3339(there.isoformat().replace("+", " ")) == there
    assert times.parse_rfc3339(str(times.rfc3339(there))) == there
