"""A key names itself by its prefix, and proves by its checksum that it was generated here."""

import string

import pytest

from tenants.keys import key_format


def test_a_key_names_itself_and_checks_itself() -> None:
    new = key_format.generate()
    assert new.text.startswith(new.prefix + "_")
    assert key_format.prefix_of(new.text) == new.prefix
    assert key_format.digest(new.text) == new.digest
    assert set(new.text) <= set(string.ascii_letters + string.digits + "_")


def test_no_two_keys_are_alike() -> None:
    assert len({key_format.generate().text for _ in range(100)}) == 100


@pytest.mark.parametrize("at", [3, 10, 25, 60, -1])
def test_one_wrong_character_is_found_without_a_database(at: int) -> None:
    text = list(key_format.generate().text)
    text[at] = "A" if text[at] != "A" else "B"
    assert key_format.prefix_of("".join(text)) is None


def nul() -> str:
    """Return a text as long as a key, with a right checksum, and a character that PostgreSQL cannot compare with."""
    body = f"{key_format.LIVE}{'0' * 11}\0_{'0' * key_format.SECRET_CHARS}"
    return body + key_format._checksum(body)


@pytest.mark.parametrize("text", ["", "sds_live_", "x" * 300, "sds_live_ü" + "0" * 61, nul()])
def test_a_text_that_was_not_generated_here_has_no_prefix(text: str) -> None:
    assert key_format.prefix_of(text) is None
