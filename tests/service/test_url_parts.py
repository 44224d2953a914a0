"""URLs in settings: each is read exactly, or refused by a sentence that names the setting and never its content."""

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st

from seedance_service import env, settings, url_parts

ROOT = Path(__file__).parents[2]
SECRET = "S3cret"
POSTGRESQL = "django.db.backends.postgresql"


def refusal(read: Any, *args: Any) -> str:
    """Return the sentence of the refusal, which shows nothing of the URL, nor does its traceback."""
    with pytest.raises(ImproperlyConfigured) as caught:
        read(*args)
    text = "".join(traceback.format_exception(caught.value.__cause__ or caught.value.__context__ or caught.value))
    assert SECRET not in text.replace(str(args), "")
    return str(caught.value)


@pytest.mark.parametrize("sign", ["/", "?", "#", "@", "%", "/?", "%zz", "?a=b", "\n", "/@", " \0"])
@pytest.mark.parametrize("at", ["{}S3cret", "S3cret{}", "S3{}cret", "12{}S3cret"])
def test_a_sign_that_a_password_has_to_escape_is_refused_in_a_sentence(sign: str, at: str) -> None:
    password = at.format(sign)
    for url, read in (
        (f"postgres://user:{password}@db.example.com:5432/name", lambda url: url_parts.database("DATABASE_URL", url)),
        (f"redis://user:{password}@redis.example.com:6379/0", settings.broker),
        (f"https://user:{password}@s3.example.com/x", lambda url: url_parts.check_http("S3_ENDPOINT_URL", url)),
    ):
        sentence = refusal(read, url)
        assert sentence.split()[0] in ("DATABASE_URL", "BROKER_URL", "S3_ENDPOINT_URL")
        assert "%2F" in sentence
        assert SECRET not in sentence
        assert "cret" not in sentence


@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()))
@example("p/w?#@%:[]+ &=")
@example("%41")
def test_an_escaped_password_is_read_as_it_is(password: str) -> None:
    try:
        escaped = quote(password, safe="")
    except UnicodeEncodeError:
        return  # no text of UTF-8, which no environment holds
    entry = url_parts.database("DATABASE_URL", f"postgres://us%40er:{escaped}@db:5433/na%2Dme")
    assert entry == {
        "ENGINE": POSTGRESQL,
        "NAME": "na-me",
        "USER": "us@er",
        "PASSWORD": password,
        "HOST": "db",
        "PORT": "5433",
        "OPTIONS": {},
    }


@given(st.text())
def test_whatever_the_text_it_is_read_or_refused_by_name(text: str) -> None:
    for read in (url_parts.database, url_parts.check_http):
        try:
            read("A_URL", text)
        except ImproperlyConfigured as error:
            assert str(error).startswith("A_URL ")  # noqa: PT017  most texts are refused, some are not


@pytest.mark.parametrize(
    ("url", "host", "port", "name"),
    [
        ("postgres://u@%2Fvar%2FRun%2Fpostgresql/db", "/var/Run/postgresql", "", "db"),
        ("postgres://u@%2Fvar%2Frun:5433/db", "/var/run", "5433", "db"),
        ("postgres:////var/run/postgresql/db", "/var/run/postgresql", "", "db"),
        ("postgres:///db", "", "", "db"),
        ("postgresql://u:p@[::1]:5432/db", "::1", "5432", "db"),
        ("postgres://u@one,two/db", "one,two", "", "db"),
        ("postgres://u@one:5432,two:5433/db", "one,two", "5432,5433", "db"),
        ("postgres://u@db/c%2B%2B+x", "db", "", "c+++x"),
    ],
)
def test_hosts_sockets_and_names_are_decoded(url: str, host: str, port: str, name: str) -> None:
    entry = url_parts.database("DATABASE_URL", url)
    assert (entry["HOST"], entry["PORT"], entry["NAME"]) == (host, port, name)


def test_options_of_the_url_are_options_of_the_driver() -> None:
    url = "postgres:///db?host=/run/postgresql&sslmode=verify-full&keepalives=1&DISABLE_SERVER_SIDE_CURSORS=true"
    entry = url_parts.database("DATABASE_URL", url)
    assert entry["OPTIONS"] == {"host": "/run/postgresql", "sslmode": "verify-full", "keepalives": 1}
    assert entry["DISABLE_SERVER_SIDE_CURSORS"] is True


@pytest.mark.parametrize("url", ["postgres://u:p@db:5432", "postgres://u:p@db:5432/", "postgres://db?sslmode=require"])
def test_a_url_without_a_database_is_refused(url: str) -> None:
    assert "names no database" in refusal(url_parts.database, "DATABASE_URL", url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://folder/db.sqlite3",
        "sqlite:////data/db#1",
        "sqlite:////data/db?mode=ro",
        "postgres://u@db:0/x",
        "postgres://u@db:99999/x",
        "postgres://u@db:port/x",
        "postgres://u@[::1/x",
        "postgres://u@db/x/y",
        "postgres://u@db/x?sslmode",
        "postgres://%ff@db/x",
        "mysql://u@db/x",
        "db.example.com",
        "",
    ],
)
def test_what_is_not_plainly_right_is_refused(url: str) -> None:
    assert refusal(url_parts.database, "DATABASE_URL", url).startswith("DATABASE_URL ")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:////data/db.sqlite3", "/data/db.sqlite3"),
        ("sqlite:///db.sqlite3", "db.sqlite3"),
        ("sqlite:////my folder/c++%23.db", "/my folder/c++#.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
    ],
)
def test_a_file_is_named_as_it_is(url: str, name: str) -> None:
    assert url_parts.database("DATABASE_URL", url) == {"ENGINE": "django.db.backends.sqlite3", "NAME": name}


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://host:port/0",
        "redis://host/zero",
        "redis://one,two/0",
        "sqs://eu-west-1",
        "sqs:///queue",
        "kafka://user:S3cret@host",
        "orm://",
        "",
    ],
)
def test_a_broker_that_is_not_plainly_right_is_refused(url: str) -> None:
    assert refusal(settings.broker, url).startswith("BROKER_URL ")


@pytest.mark.parametrize("url", ["https://x.example.com/", "http://127.0.0.1:8001", "http://[::1]:9/base/"])
def test_an_http_url_loses_its_last_slash_alone(url: str) -> None:
    assert url_parts.check_http("A_URL", url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "x.example.com", "https://x/?key=S3cret", "https://x/#S3cret", "https://S3cret@x"]
)
def test_an_http_url_with_more_than_a_place_is_refused(url: str) -> None:
    assert refusal(url_parts.check_http, "NOVITA_BASE_URL", url).startswith("NOVITA_BASE_URL ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b" \n\n", "is empty"), (b"\xff\xfeS3cret", "not text in UTF-8"), (None, "cannot be read")],
)
def test_a_file_that_holds_no_value_is_named(
    monkeypatch: Any, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "value"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(env, "documented", {})
    monkeypatch.setenv("A_URL_FILE", str(path))
    said = refusal(lambda: env.text("A_URL", help="A URL."))
    assert said.startswith(f"A_URL_FILE names {path}, ")
    assert sentence in said
    monkeypatch.setenv("A_URL_FILE", str(tmp_path))  # a folder
    assert "cannot be read" in refusal(lambda: env.text("A_URL", help="A URL."))


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "BROKER_URL", "NOVITA_BASE_URL", "ARK_BASE_URL", "SANDBOX_BASE_URL", "S3_ENDPOINT_URL"]
)
def test_a_start_with_a_wrong_url_prints_none_of_it(name: str) -> None:
    """The traceback of a web process that cannot start is in a log, too."""
    command = [sys.executable, "-c", "import seedance_service.settings"]
    for value in (f"redis://u:{SECRET}/x@host/0", f"postgres://u:12?{SECRET}@db/x"):
        environment = {**os.environ, name: value}
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        assert name in result.stderr.splitlines()[-1]
        assert SECRET not in result.stderr
