"""SECRET_KEY encrypts stored secrets. Only this key and the fallback keys decrypt them."""

from typing import Any

import pytest

from generations.webhooks import encryption


def test_an_encrypted_text_can_be_decrypted_and_does_not_show_the_secret() -> None:
    encrypted = encryption.encrypt("whsec_abc")
    assert "abc" not in encrypted
    assert encryption.encrypt("whsec_abc") != encrypted
    assert encryption.decrypt(encrypted) == "whsec_abc"


def test_a_fallback_key_still_decrypts_and_encrypts_nothing_new(settings: Any) -> None:
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
def test_a_text_that_was_never_encrypted_raises_key_lost(broken: str) -> None:
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(broken)


def test_another_use_of_the_same_secret_has_another_key(settings: Any, monkeypatch: Any) -> None:
    encrypted = encryption.encrypt("whsec_abc")
    encryption._fernet.cache_clear()
    monkeypatch.setattr(encryption, "PURPOSE", b"something else")
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(encrypted)
    encryption._fernet.cache_clear()
