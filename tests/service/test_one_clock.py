"""Times that two hosts may compare come from `tenants.db.clock`, which shows the database's time on every host."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTS_CLOCK = re.compile(r"\btimezone\.now\b|\bdatetime\.(now|utcnow|today)\(|\btime\.time\(|\bdate\.today\(")
# Each file that asks the host's own clock, with the reason.
ALLOWED = {
    "tenants/db/clock.py": "it is the clock",
    "tenants/db/postgresql.py": "it measures the difference",
    "generations/aws.py": "credentials are used and renewed by this host alone",
    "generations/bucket/self_test.py": "credentials are used and renewed by this host alone",
    "generations/outbound/http_dates.py": "another server's date is compared with this host's",
    "seedance_service/clock_checks.py": "it compares this host's clock with others",
    "seedance_service/panel/session_limits.py": "sessions of the panel are Django's, whose clock is the host's",
}


def files() -> list[str]:
    """Return the product's files, except migrations, which hold the past."""
    paths = [path for app in ("generations", "tenants", "seedance_service") for path in (ROOT / app).rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in paths if "migrations" not in path.parts)


def test_no_other_file_asks_the_hosts_own_clock() -> None:
    found = {name for name in files() if HOSTS_CLOCK.search((ROOT / name).read_text())}
    assert found - set(ALLOWED) == set(), "use tenants.db.clock.now()"
    assert set(ALLOWED) - found == set(), "no longer an exception"


@pytest.mark.parametrize("text", ["timezone.now()", "default=timezone.now)", "datetime.now(UTC)", "time.time()"])
def test_each_writing_of_the_hosts_clock_is_found(text: str) -> None:
    assert HOSTS_CLOCK.search(text)
