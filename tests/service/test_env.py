"""The readers of the environment refuse to guess, and the settings refuse to start without a secret."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from seedance_service import env, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("text", "value"), [("on", True), ("TRUE", True), ("1", True), ("off", False), ("", False)])
def test_a_flag_is_on_or_off(monkeypatch: Any, text: str, value: bool) -> None:
    monkeypatch.setenv("A_FLAG", text)
    assert env.flag("A_FLAG", not value) is value


@pytest.mark.parametrize("text", ["maybe", "2", "onn"])
def test_another_flag_stops_the_start(monkeypatch: Any, text: str) -> None:
    monkeypatch.setenv("A_FLAG", text)
    with pytest.raises(ImproperlyConfigured, match="A_FLAG"):
        env.flag("A_FLAG")


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "0", "10", "²"])
def test_a_number_that_is_none_stops_the_start(monkeypatch: Any, text: str) -> None:
    monkeypatch.setenv("A_NUMBER", text)
    with pytest.raises(ImproperlyConfigured, match="A_NUMBER"):
        env.whole("A_NUMBER", 5, least=1, most=9)


def test_hosts_and_networks_are_told_apart(monkeypatch: Any) -> None:
    monkeypatch.setenv("SOME_HOSTS", "Media.Internal, 127.0.0.1:8001,10.0.0.0/8")
    assert env.hosts("SOME_HOSTS") == ["media.internal", "127.0.0.1:8001", "10.0.0.0/8"]
    monkeypatch.setenv("SOME_HOSTS", "https://media.internal")
    with pytest.raises(ImproperlyConfigured, match="SOME_HOSTS"):
        env.hosts("SOME_HOSTS")


def test_any_variable_may_be_given_as_a_file(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    assert env.text("A_SECRET") == "from a file"


def test_a_file_that_is_not_there_is_said_in_a_sentence(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_SECRET_FILE", "/nowhere/secret")
    with pytest.raises(ImproperlyConfigured, match="/nowhere/secret"):
        env.text("A_SECRET")


def test_a_value_is_taken_as_it_is(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_SECRET", "$ecret$HOME")
    assert env.text("A_SECRET") == "$ecret$HOME"


def test_a_database_url_is_postgresql_or_sqlite(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_URL", "postgres://user:pass@db:5432/name")
    assert env.database("A_URL", "")["ENGINE"] == "django.db.backends.postgresql"
    monkeypatch.setenv("A_URL", "nonsense")
    with pytest.raises(ImproperlyConfigured, match="A_URL"):
        env.database("A_URL", "")


@pytest.mark.parametrize(
    ("url", "facts"),
    [
        ("orm", {"orm": "default"}),
        ("redis://host:6379/0", {"redis": "redis://host:6379/0"}),
        (
            "sqs://eu-west-1/rings",
            {
                "name": "rings",
                "sqs": {
                    "aws_region": "eu-west-1",
                    "receive_message_wait_time_seconds": 5,
                    "aws_access_key_id": "tests",
                    "aws_secret_access_key": "tests-secret",
                },
            },
        ),
    ],
)
def test_the_broker_is_named_by_a_url(url: str, facts: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests-secret")
    assert settings.broker(url) == facts


def test_an_unknown_broker_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL"):
        settings.broker("kafka://x")


def test_a_start_without_a_secret_is_refused_with_a_sentence() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SECRET_KEY")}
    command = [sys.executable, "-c", "import seedance_service.settings"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr


LOOK = """
import django; django.setup()
from django.conf import settings
from django.db import connection
with connection.cursor() as cursor:
    print(settings.DATABASES["default"]["OPTIONS"]["transaction_mode"])
    print(*(cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")))
"""


def test_sqlite_is_set_up_for_money(tmp_path: Path) -> None:
    """In a process of its own: the tests' database is allowed to forget."""
    env = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    env["DJANGO_SETTINGS_MODULE"] = "seedance_service.settings"
    done = subprocess.run([sys.executable, "-c", LOOK], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["IMMEDIATE", "wal", "2"]


PREPARED = """
import django; django.setup()
from tenants.db.engine import engine
for number in range(7):
    engine.run("SELECT %s::bigint", [number])
print(engine.run("SELECT count(*) FROM pg_prepared_statements", [])[0][0])
"""


@pytest.mark.parametrize(("flag", "count"), [("", "1"), ("on", "1"), ("off", "0")])
def test_what_is_asked_often_is_prepared_unless_a_pooler_knows_none(own_database: str, flag: str, count: str) -> None:
    env = {**os.environ, "DATABASE_URL": own_database, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    env |= {"PREPARED_STATEMENTS": flag} if flag else {}
    done = subprocess.run([sys.executable, "-c", PREPARED], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [count]
