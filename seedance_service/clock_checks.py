"""The doctor's comparison of another clock with this host's."""

from datetime import UTC, datetime

from seedance_service.findings import OK, WARNING, WRONG, Finding

# Differences between two clocks. Leases compare the clocks of hosts, and S3 refuses a difference of 900 s.
MAX_SKEW_SECONDS, MAX_TOLERATED_SKEW_SECONDS = 2.0, 60.0


def check_clock(owner: str, at: datetime | None) -> Finding:
    """Compare the clock of `owner`, which shows the time `at`, or None if it is not known."""
    name = f"clock of the {owner}"
    if at is None:
        return Finding(name, WARNING, "the answer has no time", "Compare the clocks by hand.")
    skew = abs((datetime.now(UTC) - at).total_seconds())
    fact = f"{skew:.0f} s from this host's clock"
    if skew <= MAX_SKEW_SECONDS:  # the date of an HTTP header has no fractions of a second
        return Finding(name, OK, fact)
    fix = "Set this host's clock by NTP; leases and signatures depend on it."
    return Finding(name, WRONG if skew > MAX_TOLERATED_SKEW_SECONDS else WARNING, fact, fix)
