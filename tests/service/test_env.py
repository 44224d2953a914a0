"""Test that the readers of the environment refuse to guess, and that no start succeeds without a secret key."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from seedance_service import env, settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _documented(monkeypatch: Any) -> None:
    """Record the variables of these tests apart from those of the service."""
    monkeypatch.setattr(env, "documented", {})


@pytest.mark.parametrize(("text", "value"), [("on", True), ("TRUE", True), ("1", True), ("off", False), ("", False)])
def test_a_flag_is_on_or_off(monkeypatch: Any, text: str, value: bool) -> None:
    monkeypatch.setenv("A_FLAG", text)
    assert env.flag("A_FLAG", not value, help="On or off.") is value


@pytest.mark.parametrize("text", ["maybe", "2", "onn"])
def test_a_flag_that_is_neither_stops_the_start(monkeypatch: Any, text: str) -> None:
    monkeypatch.setenv("A_FLAG", text)
    with pytest.raises(ImproperlyConfigured, match="A_FLAG"):
        env.flag("A_FLAG", help="On or off.")


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "0", "10", "²"])
def test_a_number_outside_its_range_or_no_number_stops_the_start(monkeypatch: Any, text: str) -> None:
    monkeypatch.setenv("A_NUMBER", text)
    with pytest.raises(ImproperlyConfigured, match="A_NUMBER"):
        env.integer("A_NUMBER", 5, minimum=1, maximum=9, help="A number.")


def test_hosts_and_networks_are_distinguished(monkeypatch: Any) -> None:
    monkeypatch.setenv("SOME_HOSTS", "Media.Internal, 127.0.0.1:8001,10.0.0.0/8")
    assert env.hosts("SOME_HOSTS", help="Hosts.") == ["media.internal", "127.0.0.1:8001", "10.0.0.0/8"]
    monkeypatch.setenv("SOME_HOSTS", "https://media.internal")
    with pytest.raises(ImproperlyConfigured, match="SOME_HOSTS"):
        env.hosts("SOME_HOSTS", help="Hosts.")


def test_any_variable_may_be_given_as_a_file(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    assert env.text("A_SECRET", help="A secret.") == "from a file"


def test_a_missing_file_is_named_in_the_error(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_SECRET_FILE", "/nowhere/secret")
    with pytest.raises(ImproperlyConfigured, match="/nowhere/secret"):
        env.text("A_SECRET", help="A secret.")


def test_a_value_is_not_expanded(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_SECRET", "$ecret$HOME")
    assert env.text("A_SECRET", help="A secret.") == "$ecret$HOME"


def test_a_database_url_is_postgresql_or_sqlite(monkeypatch: Any) -> None:
    monkeypatch.setenv("A_URL", "postgres://user:pass@db:5432/name")
    assert env.database("A_URL", "", help="A URL.")["ENGINE"] == "django.db.backends.postgresql"
    monkeypatch.setenv("A_URL", "nonsense")
    with pytest.raises(ImproperlyConfigured, match="A_URL"):
        env.database("A_URL", "", help="A URL.")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("orm", {"orm": "default"}),
        (
            "redis://host:6379/0",
            {"broker_class": "generations.redis_broker.BoundedRedis", "redis": "redis://host:6379/0"},
        ),
        (
            "sqs://eu-west-1/wake-ups",
            {
                "name": "wake-ups",
                "broker_class": "generations.sqs.SqsBroker",
                "sqs": {"aws_region": "eu-west-1", "receive_message_wait_time_seconds": 5},
            },
        ),
    ],
)
def test_a_broker_url_becomes_django_q2s_settings(url: str, options: dict[str, Any]) -> None:
    assert settings.broker(url) == options


def test_an_unknown_broker_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL"):
        settings.broker("kafka://x")


def test_a_start_without_a_secret_is_refused_with_a_sentence() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SECRET_KEY")}
    command = [sys.executable, "-c", "import seedance_service.settings"]
    result = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "SECRET_KEY is not set" in result.stderr


SHOW_OPTIONS = """
import django; django.setup()
from django.conf import settings
from django.db import connection
with connection.cursor() as cursor:
    print(settings.DATABASES["default"]["OPTIONS"]["transaction_mode"])
    print(*(cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")))
"""


def test_sqlite_is_set_up_for_money(tmp_path: Path) -> None:
    """Read the options in a separate process: the database of the tests may lose writes in a power cut."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    environment["DJANGO_SETTINGS_MODULE"] = "seedance_service.settings"
    result = subprocess.run(
        [sys.executable, "-c", SHOW_OPTIONS], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["IMMEDIATE", "wal", "2"]


PREPARED = """
import django; django.setup()
from tenants.db.engine import engine
for number in range(7):
    engine.run("SELECT %s::bigint", [number])
print(engine.run("SELECT count(*) FROM pg_prepared_statements", [])[0][0])
"""


@pytest.mark.parametrize(("flag", "count"), [("", "1"), ("on", "1"), ("off", "0")])
def test_frequent_statements_are_prepared_unless_a_pooler_supports_none(
    own_database: str, flag: str, count: str
) -> None:
    environment = {**os.environ, "DATABASE_URL": own_database, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    environment |= {"PREPARED_STATEMENTS": flag} if flag else {}
    result = subprocess.run(
        [sys.executable, "-c", PREPARED], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [count]


@pytest.mark.parametrize(("text", "percents"), [("50,80,100", [50, 80, 100]), ("", []), ("90, 10,90", [10, 90])])
def test_percentages_are_read_in_order(monkeypatch: Any, text: str, percents: list[int]) -> None:
    monkeypatch.setenv("SHARES", text)
    assert env.percentages("SHARES", "1", help="Shares.") == percents


@pytest.mark.parametrize("text", ["0", "101", "50 %", "half", "-1", "٥٠"])
def test_what_is_no_percentage_stops_the_start(monkeypatch: Any, text: str) -> None:
    monkeypatch.setenv("SHARES", text)
    with pytest.raises(ImproperlyConfigured, match="SHARES"):
        env.percentages("SHARES", "1", help="Shares.")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", ("", 25, "", "", False, False)),
        ("smtp://mail.internal", ("mail.internal", 25, "", "", False, False)),
        ("smtp+tls://me:p%2Fw@mail.internal:2525", ("mail.internal", 2525, "me", "p/w", True, False)),
        ("smtp+ssl://me:pw@mail.internal", ("mail.internal", 465, "me", "pw", False, True)),
    ],
)
def test_a_mail_server_is_a_url(monkeypatch: Any, url: str, server: tuple[Any, ...]) -> None:
    monkeypatch.setenv("MAIL", url)
    assert env.mail_server("MAIL", help="A mail server.") == server


@pytest.mark.parametrize("url", ["mail.internal", "http://mail.internal", "smtp://", "smtp://a/b", "smtp://secret@a@b"])
def test_a_mail_server_that_cannot_be_read_stops_the_start_and_is_not_shown(monkeypatch: Any, url: str) -> None:
    monkeypatch.setenv("MAIL", url)
    with pytest.raises(ImproperlyConfigured, match="MAIL") as error:
        env.mail_server("MAIL", help="A mail server.")
    assert "secret" not in str(error.value)
