"""No secret is in any log entry: secrets are hidden by pattern and by value."""

import io
import json
import logging
from typing import Any

import pytest
import structlog
from django.conf import settings

from generations import lifecycle
from seedance_service.logs import RedactingFormatter, redact
from tenants.keys import key_format
from tests.support.factories import Caller, make_generation

SIGNED = "https://bucket.s3.amazonaws.com/videos/1.mp4?X-Amz-Credential=AKIAX&X-Amz-Signature=abcdef0123456789"


@pytest.mark.parametrize(
    ("text", "secret", "rest"),
    [
        (f"GET {SIGNED} failed", "abcdef0123456789", "https://bucket.s3.amazonaws.com/videos/1.mp4?[hidden] failed"),
        ("a=1&X-Amz-Signature=abcdef&b=2", "abcdef", "&b=2"),
        ("{'Authorization': 'Bearer sk_something'}", "sk_something", "Bearer [hidden]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!", "MfKQ9r8", "whsec_[hidden]!"),
        ("postgres://seedance:pass-word@db/seedance", "pass-word", "postgres://seedance:[hidden]@db/seedance"),
        ("redis://:pass-word@cache:6379/0", "pass-word", "@cache:6379/0"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str, rest: str) -> None:
    assert secret not in redact(text)
    assert rest in redact(text)


@pytest.mark.parametrize("test", [False, True])
def test_a_key_of_ours_keeps_the_prefix_that_names_it(test: bool) -> None:
    new = key_format.generate(test=test)
    assert redact(f"key {new.text}.") == f"key {new.prefix}_[hidden]."


def test_what_is_no_secret_stays_as_it_is() -> None:
    line = "running tenant=3 generation=01a20f7a-816c-7b30-9e42-3c634c0984b8 seed=1 https://example.com/a.png accepted"
    assert redact(line) == line


def logged(act: Any, style: str = "json") -> str:
    """What the service's own formatter makes of what `act` logs, by structlog or by the standard library."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    facts = dict(settings.LOGGING["formatters"]["line"])
    assert facts.pop("()") == "seedance_service.logs.RedactingFormatter"
    handler.setFormatter(RedactingFormatter(**{**facts, "style": style}))
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    try:
        act(logger)
    finally:
        logger.removeHandler(handler)
    return out.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_known_secrets_are_hidden_in_messages_arguments_and_tracebacks(style: str) -> None:
    secret = settings.NOVITA_API_KEY

    def act(log: logging.Logger) -> None:
        log.error("said %s", secret)
        try:
            raise ValueError(f"refused {secret} at {SIGNED}")
        except ValueError:
            log.exception("it failed")

    text = logged(act, style)
    assert secret not in text
    assert "abcdef0123456789" not in text
    assert text.count("[hidden]") >= 3
    assert "ValueError: refused" in text


def test_a_short_secret_does_not_hide_half_of_every_line() -> None:
    assert settings.SECRET_KEY == "tests"
    assert "tests.logs" in logged(lambda log: log.error("a line"))


HOSTILE = "a\r\n2026-01-01 ERROR forged\x1b[2J\u2028\x85"


@pytest.mark.parametrize("style", ["json", "console"])
def test_one_record_is_one_line_whatever_was_logged(style: str) -> None:
    for act in (
        lambda log: log.error("said %s", HOSTILE),
        lambda log: structlog.stdlib.get_logger("tests.logs").error(HOSTILE, said=HOSTILE),
    ):
        text = logged(act, style)
        assert len(text.splitlines()) == 1
        assert "forged\x1b" not in text
        assert "2026-01-01 ERROR forged" in text


def test_a_line_is_one_json_object_a_traceback_too() -> None:
    def act(log: logging.Logger) -> None:
        try:
            raise ValueError("a reason")
        except ValueError:
            structlog.stdlib.get_logger("tests.logs").exception("it failed", generation="g", seed=7)

    line = json.loads(logged(act))
    assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
    assert (line["level"], line["event"], line["generation"], line["seed"]) == ("error", "it failed", "g", 7)
    assert "ValueError: a reason" in line["exception"]


def test_a_secret_that_json_writes_otherwise_is_hidden_too() -> None:
    handler = RedactingFormatter("json", ['a"quoted"secret'])
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "levelno": 20, "msg": 'with a"quoted"secret'})
    assert "quoted" not in handler.format(record)


@pytest.mark.django_db(transaction=True)
@pytest.mark.one_database
def test_a_move_is_one_line_with_all_that_names_it(alice: Caller) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(RedactingFormatter())
    logging.getLogger("generations.lifecycle").addHandler(handler)
    try:
        g = make_generation(alice, seed=4711)
        lifecycle.fail(g, "upstream_failed", "No.")
    finally:
        logging.getLogger("generations.lifecycle").removeHandler(handler)
    accepted, failed = (json.loads(line) for line in out.getvalue().splitlines())
    assert (accepted["event"], accepted["action"], accepted["why"]) == ("move", "queued", "accepted")
    assert (failed["action"], failed["why"]) == ("failed", "No.")
    for line in (accepted, failed):
        assert (line["tenant"], line["generation"], line["seed"]) == (alice.tenant.pk, str(g.pk), 4711)
        assert line["duration_ms"] >= 0
