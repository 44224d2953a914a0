"""Times have one format for each kind of reader, and are in UTC whatever their time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

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
