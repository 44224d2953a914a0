"""No secret is in any log line, whoever logs it: by pattern, and by value."""

import io
import logging
from typing import Any

import pytest
from django.conf import settings

from seedance_service.logs import RedactingFormatter, redacted
from tenants import keys

SIGNED = "https://bucket.s3.amazonaws.com/videos/1.mp4?X-Amz-Credential=AKIAX&X-Amz-Signature=abcdef0123456789"


@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        (f"GET {SIGNED} failed", "abcdef0123456789", "https://bucket.s3.amazonaws.com/videos/1.mp4?[hidden] failed"),
        ("a=1&X-Amz-Signature=abcdef&b=2", "abcdef", "&b=2"),
        ("{'Authorization': 'Bearer sk_something'}", "sk_something", "Bearer [hidden]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!", "MfKQ9r8", "whsec_[hidden]!"),
        ("postgres://seedance:pass-word@db/seedance", "pass-word", "postgres://seedance:[hidden]@db/seedance"),
        ("redis://:pass-word@cache:6379/0", "pass-word", "@cache:6379/0"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str, kept: str) -> None:
    assert secret not in redacted(text)
    assert kept in redacted(text)


@pytest.mark.parametrize("test", [False, True])
def test_a_key_of_ours_keeps_the_prefix_that_names_it(test: bool) -> None:
    new = keys.mint(test=test)
    assert redacted(f"key {new.text}.") == f"key {new.prefix}_[hidden]."


def test_what_is_no_secret_stays_as_it_is() -> None:
    line = "running tenant=3 generation=01a20f7a-816c-7b30-9e42-3c634c0984b8 seed=1 https://example.com/a.png accepted"
    assert redacted(line) == line


def logged(act: Any) -> str:
    """What the service's own formatter makes of what `act` logs."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    facts = dict(settings.LOGGING["formatters"]["line"])
    assert facts.pop("()") == "seedance_service.logs.RedactingFormatter"
    handler.setFormatter(RedactingFormatter(**facts))
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    try:
        act(logger)
    finally:
        logger.removeHandler(handler)
    return out.getvalue()


def test_known_secrets_are_hidden_in_messages_arguments_and_tracebacks() -> None:
    secret = settings.NOVITA_API_KEY

    def act(log: logging.Logger) -> None:
        log.error("said %s", secret)
        try:
            raise ValueError(f"refused {secret} at {SIGNED}")
        except ValueError:
            log.exception("it failed")

    text = logged(act)
    assert secret not in text
    assert "abcdef0123456789" not in text
    assert text.count("[hidden]") >= 3
    assert "ValueError: refused" in text


def test_a_short_secret_does_not_hide_half_of_every_line() -> None:
    assert settings.SECRET_KEY == "tests"
    assert "tests.logs" in logged(lambda log: log.error("a line"))


def test_one_record_is_one_line_whatever_was_logged() -> None:
    text = logged(lambda log: log.error("said %s", "a\r\n2026-01-01 ERROR forged\x1b[2J\u2028\x85"))
    assert len(text.splitlines()) == 1
    assert text[:-1].isprintable()
    assert r"a\r\n2026" in text
