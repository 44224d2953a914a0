import string

import pytest

from tenants import keys


def test_a_key_names_itself_and_checks_itself() -> None:
    new = keys.mint()
    assert new.text.startswith(new.prefix + "_")
    assert keys.prefix_of(new.text) == new.prefix
    assert keys.digest(new.text) == new.digest
    assert set(new.text) <= set(string.ascii_letters + string.digits + "_")


def test_no_two_keys_are_alike() -> None:
    assert len({keys.mint().text for _ in range(100)}) == 100


@pytest.mark.parametrize("at", [3, 10, 25, 60, -1])
def test_one_wrong_character_is_found_without_a_database(at: int) -> None:
    text = list(keys.mint().text)
    text[at] = "A" if text[at] != "A" else "B"
    assert keys.prefix_of("".join(text)) is None


def nul() -> str:
    """As long as a key, with a right checksum, and a character that PostgreSQL cannot compare with."""
    body = f"{keys.LIVE}{'0' * 11}\0_{'0' * keys.SECRET_LENGTH}"
    return body + keys._checksum(body)


@pytest.mark.parametrize("text", ["", "sds_live_", "x" * 300, "sds_live_ü" + "0" * 61, nul()])
def test_what_was_not_minted_here_has_no_prefix(text: str) -> None:
    assert keys.prefix_of(text) is None
