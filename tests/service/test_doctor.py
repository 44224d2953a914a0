"""`manage.py doctor`: what is well, what is not, and what mends it; it spends nothing and leaves nothing behind."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from generations.bucket import objects
from generations.models import Worker
from generations.reports import worker_hosts
from tests.support.upstream import Upstream, as_json, refusal

pytestmark = pytest.mark.django_db
NOBODYS = refusal(404, "TASK_NOT_FOUND")


def examined(*args: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *args, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def found() -> dict[str, list[dict[str, Any]]]:
    """By name."""
    code, text = examined("--json")
    body = json.loads(text)
    assert body["ok"] == (code == 0)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for finding in body["findings"]:
        by_name.setdefault(finding["name"], []).append(finding)
    return by_name


def only(name: str) -> tuple[str, str, str]:
    [finding] = found()[name]
    return finding["level"], finding["fact"], finding.get("mend", "")


@pytest.fixture
def well(real_bucket: None, upstream: Upstream, settings: Any) -> Upstream:
    settings.SECRET_KEY = "long enough, and of more than five characters: 0123456789"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    worker_hosts.record_heartbeat()
    upstream.on_poll = NOBODYS
    return upstream


def test_a_service_that_is_well_is_told_so_and_nothing_is_left_behind(well: Upstream, settings: Any) -> None:
    code, text = examined()
    assert code == 0, text
    assert {line.split()[0] for line in text.splitlines()} <= {"ok", "warning", "Set"}
    for name in ("database", "broker", "bucket", "signed URLs", "upstream", "worker", "disk", "clock of the bucket"):
        assert f" {name}: " in text
    assert objects.list_keys("doctor/") == []
    assert well.submits == []
    assert settings.AWS_SECRET_ACCESS_KEY not in text


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        (refusal(403, "INVALID_API_KEY"), "HTTP 403 INVALID_API_KEY about INVALID_API_KEY"),
        (as_json({"message": "down"}, 502), "HTTP 502  down"),
    ],
)
def test_an_upstream_that_refuses_us_is_told_in_its_own_words(well: Upstream, answer: Any, fact: str) -> None:
    well.on_poll = answer
    level, said, mend = only("upstream")
    assert (level, said) == ("wrong", fact)
    assert "NOVITA_API_KEY" in mend


@pytest.mark.one_database
def test_an_upstream_that_can_not_be_reached_is_told(well: Upstream, settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://127.0.0.1:9"
    level, fact, mend = only("upstream")
    assert (level, fact) == ("wrong", "the poll failed: ConnectError")
    assert "NOVITA_BASE_URL" in mend


@pytest.mark.one_database
@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (0.5, "warning"), (5, "wrong"), (-5, "wrong")])
def test_a_clock_that_goes_wrong_is_told(well: Upstream, minutes: float, level: str) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)

    def answer(handler: Any) -> Any:
        status, headers, content = NOBODYS
        handler.date_time_string = lambda timestamp=None: format_datetime(at, usegmt=True)
        return status, headers, content

    well.on_poll = answer
    assert only("clock of the upstream")[0] == level


@pytest.mark.one_database
def test_a_bucket_that_is_not_there_is_told(well: Upstream, settings: Any) -> None:
    settings.S3_BUCKET = "nobodys-bucket"
    level, fact, mend = only("bucket")
    assert (level, mend) == ("wrong", "Check its name and the keys.")
    assert fact.startswith("HeadBucket: ")
    settings.S3_BUCKET = ""
    assert only("bucket")[1] == "S3_BUCKET is not set"


@pytest.mark.one_database
def test_callers_that_could_not_reach_the_bucket_are_told(well: Upstream, settings: Any) -> None:
    settings.S3_PUBLIC_URL = "http://127.0.0.1:9"
    level, fact, mend = only("signed URLs")
    assert (level, fact) == ("wrong", "one was answered with no answer (URLError)")
    assert "S3_PUBLIC_URL" in mend


@pytest.mark.one_database
def test_an_s3_that_serves_whoever_asks_is_told(well: Upstream, settings: Any) -> None:
    """The upstream's server stands for one: whatever address it is asked for, it answers 200."""
    well.on_video = 200, {"Content-Type": "text/plain"}, b"anything"
    settings.S3_PUBLIC_URL = well.url
    assert only("signed URLs")[:2] == ("wrong", "one with a wrong signature is served too")


def test_a_migration_that_is_missing_is_told(well: Upstream) -> None:
    for app, name in MigrationLoader(connection).graph.leaf_nodes("generations"):
        MigrationRecorder(connection).record_unapplied(app, name)
    assert "migrations are not applied" in str(found()["database"])
    assert "Run manage.py migrate." in str(found()["database"])


@pytest.mark.one_database
def test_a_worker_that_does_not_look_is_told(well: Upstream) -> None:
    Worker.objects.update(heartbeat_at=datetime.now(UTC) - timedelta(hours=1))
    level, fact = only("worker")[:2]
    assert level == "warning"
    assert re.fullmatch(r"none has looked for 36\d\d s", fact)  # a slow machine looks a little later
    Worker.objects.all().delete()
    assert only("worker")[1] == "none has ever looked"


@pytest.mark.one_database
def test_a_setting_that_is_missing_is_told(well: Upstream, settings: Any) -> None:
    settings.DEBUG = True
    settings.NOVITA_API_KEY = ""
    facts = " ".join(finding["fact"] for finding in found()["settings"])
    assert "security.W018" in facts
    assert "generations.W002" in facts
