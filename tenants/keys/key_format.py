"""The format of an API key: `sds_live_<12: key id>_<43: 32 random bytes><6: checksum>`, all base 62.

A test key begins with `sds_test_`, which is as long. The fixed prefix is for secret scanners. The checksum lets a
mistyped key fail without a database.
"""

import hashlib
import secrets
import string
import zlib
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHARACTERS = frozenset(ALPHABET + "_")
LIVE, TEST = "sds_live_", "sds_test_"
ID_CHARS, SECRET_CHARS, CHECKSUM_CHARS = 12, 43, 6
MAX_CHARS = 200  # of a header that is worth checking; a key has 71


class NewKey(NamedTuple):
    """A key that was just generated, with its text."""

    text: str  # shown once, never stored
    prefix: str  # the brand and the key id: the key's name
    digest: str  # stored in place of the text


def generate(*, test: bool = False) -> NewKey:
    """Return a new random key, live or for tests."""
    prefix = (TEST if test else LIVE) + "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARS))
    body = f"{prefix}_{_base62(int.from_bytes(secrets.token_bytes(32)), SECRET_CHARS)}"
    text = body + _checksum(body)
    return NewKey(text, prefix, digest(text))


def digest(text: str) -> str:
    """Return the key's SHA-256: enough for 32 random bytes. A slow hash would cost a third of a second a request."""
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text: str) -> str | None:
    """Return the prefix of a well-formed key. Return None for a text that this service cannot have generated."""
    length = len(LIVE) + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS
    if len(text) != length or not text.startswith((LIVE, TEST)) or not CHARACTERS.issuperset(text):
        return None
    if _checksum(text[:-CHECKSUM_CHARS]) != text[-CHECKSUM_CHARS:]:
        return None
    return text[: len(LIVE) + ID_CHARS]


def _checksum(body: str) -> str:
    """Return the CRC-32 of the text before the checksum, in base 62."""
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARS)


def _base62(number: int, length: int) -> str:
    """Return the number's last `length` digits in base 62, with leading zeros."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
