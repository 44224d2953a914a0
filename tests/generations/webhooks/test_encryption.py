"""Secrets at rest: sealed by SECRET_KEY, opened by it and by those before it, and by nothing else."""

from typing import Any

import pytest

from generations.webhooks import encryption


def test_what_is_sealed_can_be_opened_and_does_not_show_what_it_holds() -> None:
    sealed = encryption.encrypt("whsec_abc")
    assert "abc" not in sealed
    assert encryption.encrypt("whsec_abc") != sealed
    assert encryption.decrypt(sealed) == "whsec_abc"


def test_a_key_that_has_become_a_fallback_still_opens_and_seals_nothing_new(settings: Any) -> None:
    settings.SECRET_KEY = "old"
    old = encryption.encrypt("whsec_abc")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    assert encryption.decrypt(old) == "whsec_abc"
    new = encryption.reencrypt(old)
    settings.SECRET_KEY_FALLBACKS = []
    assert encryption.decrypt(new) == "whsec_abc"
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(old)


@pytest.mark.parametrize("broken", ["", "x", "gAAAAA", "not base64 at all ü"])
def test_what_nobody_sealed_is_lost_and_breaks_nothing(broken: str) -> None:
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(broken)


def test_another_use_of_the_same_secret_has_another_key(settings: Any, monkeypatch: Any) -> None:
    sealed = encryption.encrypt("whsec_abc")
    encryption._fernet.cache_clear()
    monkeypatch.setattr(encryption, "PURPOSE", b"something else")
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(sealed)
    encryption._fernet.cache_clear()
