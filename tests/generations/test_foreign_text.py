"""Text of other systems: no secret of ours, and nothing that a database, a line or a terminal cannot take."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations import single_line
from generations.foreign_text import HIDDEN, clean, redact

KEY = "Novita/key+with=signs 0123"


@pytest.fixture(autouse=True)
def _secrets(settings: Any) -> None:
    settings.NOVITA_API_KEY = KEY
    settings.SECRET_KEY_FALLBACKS = ["an-earlier-secret-key"]
    settings.BROKER_URL = "redis://:pass%20word%20of%20redis@127.0.0.1/0"
    settings.NOVITA_BASE_URL = "http://[::1"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        KEY.upper(),
        quote(KEY, safe=""),
        KEY[:9] + "\0" + KEY[9:],
        KEY[:9] + "\u200b" + KEY[9:],
        "an-earlier-secret-key",
        "pass word of redis",
        "pass%20word%20of%20redis",
    ],
)
def test_a_secret_is_hidden_however_it_is_written(text: str) -> None:
    assert clean(f"the key {text} is wrong") == f"the key {HIDDEN} is wrong"


def test_keys_that_we_do_not_know_are_hidden_by_their_form() -> None:
    assert clean("sk-AbCdEf0123456789 or sk_live_abcdefgh, not risk-assessment") == (
        f"sk-{HIDDEN} or sk_{HIDDEN}, not risk-assessment"
    )


def test_the_cut_leaves_no_part_of_a_secret() -> None:
    for room in range(len(KEY) + 2):
        text = clean("x" * (500 - room) + KEY)
        assert len(text) <= 500
        assert KEY[:6] not in text


def test_breaks_become_spaces_and_invisible_characters_vanish() -> None:
    assert clean("a\r\nb\tc\0d\x1b[31me\ud800f\u202eg") == "a b cd[31mefg"


def test_a_secret_too_short_to_be_one_is_a_word(settings: Any) -> None:
    settings.SANDBOX_API_KEY = "sandbox"
    assert clean("the sandbox") == "the sandbox"


@given(st.one_of(st.text(st.characters()), st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))))
def test_any_text_becomes_one_line_that_every_database_takes(text: str) -> None:
    line = clean(text, 20)
    assert len(line) <= 20
    assert single_line.matches(line)
    line.encode()
    assert clean(line, 20) == line


def test_redact_hides_secrets_that_it_is_given() -> None:
    assert redact("with hunter22", ["hunter22"]) == f"with {HIDDEN}"
