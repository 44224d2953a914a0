"""Secrets at rest: what must be read again, and so can not be a digest, is encrypted by a key drawn from SECRET_KEY.

SECRET_KEY_FALLBACKS open what was sealed before the key was changed; new seals are by SECRET_KEY alone.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PURPOSE = b"generations.sealing"  # another use of SECRET_KEY gives another key


class KeyLost(Exception):
    """What was sealed can not be opened: its SECRET_KEY is gone, and not among SECRET_KEY_FALLBACKS."""


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode()


def opened(sealed: str) -> str:
    """Raises KeyLost."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise KeyLost from error


def resealed(sealed: str) -> str:
    """The same, sealed by SECRET_KEY itself. Raises KeyLost."""
    return seal(opened(sealed))


def _box() -> MultiFernet:
    return MultiFernet([_fernet(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@lru_cache(maxsize=16)
def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
