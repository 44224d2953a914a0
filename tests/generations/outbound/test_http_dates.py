"""Tests of Retry-After as servers write it."""

import pytest
import time_machine

from generations.outbound.http_dates import parse_retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20", 20.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("9" * 400, 300.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 300.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e3", None),
        ("٢٠", None),
        ("inf", None),
    ],
)
def test_seconds_and_dates_are_understood_and_bounded(value: str, seconds: float | None) -> None:
    with time_machine.travel("2026-10-21T07:28:00Z", tick=False):
        assert parse_retry_after(value, 300.0) == seconds
