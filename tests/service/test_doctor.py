"""Test `manage.py doctor`: it reports each fault with a way to fix it, spends nothing and leaves nothing behind."""

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

from generations.bucket import checksums, objects
from generations.models import Worker
from generations.reports import worker_hosts
from generations.worker import spool
from seedance_service import doctor
from tests.support.ark_answers import refusal as ark_refusal
from tests.support.aws_agent import session_of
from tests.support.stores import Store
from tests.support.upstream import TASKS, Upstream, as_json, refusal

pytestmark = pytest.mark.django_db
UNKNOWN_TASK = refusal(404, "TASK_NOT_FOUND")


def run_doctor(*args: str) -> tuple[int, str]:
    """Return the exit code and the output of the command."""
    out = StringIO()
    try:
        call_command("doctor", *args, stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


def findings_by_name() -> dict[str, list[dict[str, Any]]]:
    """Return the findings of `doctor --json`."""
    code, text = run_doctor("--json")
    output = json.loads(text)
    assert output["ok"] == (code == 0)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for finding in output["findings"]:
        by_name.setdefault(finding["name"], []).append(finding)
    return by_name


def finding_of(name: str) -> tuple[str, str, str]:
    """Return level, fact and fix of the one finding with that name."""
    [finding] = findings_by_name()[name]
    return finding["level"], finding["fact"], finding.get("mend", "")


@pytest.fixture
def healthy(real_bucket: None, upstream: Upstream, settings: Any) -> Upstream:
    settings.SECRET_KEY = "long enough, and of more than five characters: 0123456789"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    worker_hosts.record_heartbeat()
    upstream.on_poll = UNKNOWN_TASK
    return upstream


def test_a_healthy_service_has_no_fault_and_nothing_is_left_behind(healthy: Upstream, settings: Any) -> None:
    code, text = run_doctor()
    assert code == 0, text
    findings = [line for line in text.splitlines() if not line.startswith(" ")]  # a fix is indented below its finding
    assert {line.split()[0] for line in findings} <= {"ok", "warning"}
    for name in (
        "database",
        "broker",
        "credentials",
        "bucket",
        "checksums",
        "signed URLs",
        "upstream novita",
        "worker",
        "disk",
        "clock of the bucket",
    ):
        assert f" {name}: " in text
    assert objects.list_keys("doctor/") == []
    assert healthy.submits == []
    assert settings.AWS_SECRET_ACCESS_KEY not in text


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        (refusal(403, "INVALID_API_KEY"), "HTTP 403 INVALID_API_KEY about INVALID_API_KEY"),
        (as_json({"message": "down"}, 502), "HTTP 502  down"),
    ],
)
def test_a_refusal_of_the_upstream_is_reported_in_its_own_words(healthy: Upstream, answer: Any, fact: str) -> None:
    healthy.on_poll = answer
    level, fact_found, fix = finding_of("upstream novita")
    assert (level, fact_found) == ("wrong", fact)
    assert "NOVITA_API_KEY" in fix


@pytest.mark.one_database
def test_an_unreachable_upstream_is_reported(healthy: Upstream, settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://127.0.0.1:9"
    level, fact, fix = finding_of("upstream novita")
    assert (level, fact) == ("wrong", "the call failed: the server refused the connection")
    assert "NOVITA_BASE_URL" in fix


@pytest.mark.one_database
def test_each_account_with_a_key_is_checked_over_its_own_wire(healthy: Upstream, settings: Any) -> None:
    settings.ARK_BASE_URL, settings.ARK_API_KEY = f"{healthy.url}/api/v3", "key-of-ark-in-the-tests"
    of_novita = healthy.on_poll
    healthy.on_poll = lambda handler: ark_refusal(404, "NotFound") if TASKS in handler.path else of_novita
    assert (finding_of("upstream novita")[0], finding_of("upstream ark")[0]) == ("ok", "ok")
    healthy.on_poll = lambda handler: ark_refusal(401, "AuthenticationError") if TASKS in handler.path else of_novita
    assert finding_of("upstream novita")[0] == "ok"
    level, fact, fix = finding_of("upstream ark")
    assert level == "wrong"
    assert "AuthenticationError" in fact
    assert "ARK_API_KEY" in fix


@pytest.mark.one_database
@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (0.5, "warning"), (5, "wrong"), (-5, "wrong")])
def test_a_wrong_clock_is_reported(healthy: Upstream, minutes: float, level: str) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)

    def answer(handler: Any) -> Any:
        status, headers, content = UNKNOWN_TASK
        handler.date_time_string = lambda timestamp=None: format_datetime(at, usegmt=True)
        return status, headers, content

    healthy.on_poll = answer
    assert finding_of("clock of the upstream novita")[0] == level


@pytest.mark.one_database
def test_a_missing_bucket_is_reported(healthy: Upstream, settings: Any) -> None:
    settings.S3_BUCKET = "missing-bucket"
    level, fact, fix = finding_of("bucket")
    assert (level, fix) == ("wrong", "Check the bucket's name and the keys.")
    assert fact.startswith("HeadBucket: ")
    settings.S3_BUCKET = ""
    assert finding_of("bucket")[1] == "S3_BUCKET is not set"


@pytest.mark.one_database
def test_credentials_that_end_before_a_signed_url_are_reported(healthy: Upstream, agent: Any) -> None:
    agent(session_of(minutes=20))
    level, fact, fix = finding_of("credentials")
    assert level == "warning"
    assert fact.startswith("from the container's role; they end in ")
    assert "SIGNED_URL_TTL" in fix


@pytest.mark.one_database
def test_missing_credentials_are_reported(healthy: Upstream, no_credentials: None) -> None:
    level, fact, _ = finding_of("bucket")
    assert level == "wrong"
    assert "NoCredentialsError" in fact


@pytest.mark.one_database
def test_a_store_that_takes_the_bucket_elsewhere_is_reported(healthy: Upstream, settings: Any) -> None:
    one = Store("PathStyleDomainForbidden")
    settings.S3_ENDPOINT_URL, settings.S3_ADDRESSING = one.url.replace("store.localhost", "127.0.0.1"), "path"
    level, fact, fix = finding_of("bucket")
    assert (level, "PathStyleDomainForbidden" in fact) == ("wrong", True)
    assert fix.startswith("Set S3_ADDRESSING=virtual")
    one.stop()


@pytest.mark.one_database
def test_a_bucket_that_callers_cannot_reach_is_reported(healthy: Upstream, settings: Any) -> None:
    settings.S3_PUBLIC_URL = "http://127.0.0.1:9"
    level, fact, fix = finding_of("signed URLs")
    assert (level, fact) == ("wrong", "answer to a signed URL: no answer (URLError)")
    assert "S3_PUBLIC_URL" in fix


@pytest.mark.one_database
def test_an_s3_that_ignores_signatures_is_reported(healthy: Upstream, settings: Any) -> None:
    """The upstream's server plays that S3: it answers 200 at any address."""
    healthy.on_video = 200, {"Content-Type": "text/plain"}, b"anything"
    settings.S3_PUBLIC_URL = healthy.url
    assert finding_of("signed URLs")[:2] == ("wrong", "a URL with a wrong signature is served too")


def test_a_missing_migration_is_reported(healthy: Upstream) -> None:
    for app, name in MigrationLoader(connection).graph.leaf_nodes("generations"):
        MigrationRecorder(connection).record_unapplied(app, name)
    assert "migrations are not applied" in str(findings_by_name()["database"])
    assert "Run manage.py migrate." in str(findings_by_name()["database"])


@pytest.mark.one_database
def test_a_worker_without_a_heartbeat_is_reported(healthy: Upstream) -> None:
    Worker.objects.update(heartbeat_at=datetime.now(UTC) - timedelta(hours=1))
    level, fact = finding_of("worker")[:2]
    assert level == "warning"
    assert re.fullmatch(r"no heartbeat for 36\d\d s", fact)  # a slow machine reads a little later
    Worker.objects.all().delete()
    assert finding_of("worker")[1] == "no heartbeat yet"


@pytest.mark.one_database
def test_a_missing_setting_is_reported(healthy: Upstream, settings: Any) -> None:
    settings.DEBUG = True
    settings.NOVITA_API_KEY = ""
    facts = " ".join(finding["fact"] for finding in findings_by_name()["settings"])
    assert "security.W018" in facts
    assert "generations.W002" in facts


def test_a_fix_is_a_whole_sentence(healthy: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "MIN_CONNECTIONS", 10**6)
    fixes = [finding.get("mend", "") for findings in findings_by_name().values() for finding in findings]
    assert all(fix == "" or fix.endswith((".", "`", ")")) for fix in fixes), fixes


@pytest.mark.one_database
def test_a_store_that_takes_a_wrong_checksum_is_reported(healthy: Upstream, monkeypatch: Any) -> None:
    level, fact, _ = finding_of("checksums")
    assert (level, fact.startswith("the store refuses bytes")) == ("ok", True)
    monkeypatch.setattr(checksums, "try_wrong", lambda: False)
    level, fact, _ = finding_of("checksums")
    assert level == "warning"
    assert "each video is read back" in fact


@pytest.mark.one_database
def test_a_disk_that_is_short_or_missing_is_reported(healthy: Upstream, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(spool, "free_bytes", lambda: 10**9)
    assert finding_of("disk")[0] == "warning"
    settings.SPOOL_DIR = "/nowhere"
    level, fact, fix = finding_of("disk")
    assert (level, "SPOOL_DIR" in fix) == ("wrong", True)
    assert "/nowhere" in fact
