"""Encrypt stored secrets that the service must read later. A digest can not replace such a secret.

The encryption key is derived from SECRET_KEY. SECRET_KEY_FALLBACKS decrypt older texts and encrypt nothing new.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

# Never change this value: every stored secret would be lost. Another use of SECRET_KEY needs another purpose.
PURPOSE = b"generations.sealing"


class KeyLost(Exception):
    """A text can not be decrypted: neither SECRET_KEY nor SECRET_KEY_FALLBACKS hold the key that encrypted the text."""


def encrypt(text: str) -> str:
    """Return the text, encrypted by SECRET_KEY. Two calls with the same text return different results."""
    return _cipher().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the text that was encrypted. Raise KeyLost if no current key decrypts the text."""
    try:
        return _cipher().decrypt(encrypted.encode()).decode()
    except InvalidToken as error:
        raise KeyLost from error


def reencrypt(encrypted: str) -> str:
    """Return the same text, encrypted by SECRET_KEY itself. Raise KeyLost if no current key decrypts the text."""
    return encrypt(decrypt(encrypted))


def _cipher() -> MultiFernet:
    """Return a cipher that encrypts by SECRET_KEY and decrypts by all keys."""
    return MultiFernet([_fernet(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@lru_cache(maxsize=16)
def _fernet(secret: str) -> Fernet:
    """Return the cipher of one secret. The derivation is cached."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
