"""What an API key looks like: `sds_live_<12: key id>_<43: 32 random bytes><6: checksum>`, all base 62.

A test key has `sds_test_`, which is as long.

The fixed prefix is for secret scanners, the checksum lets a mistyped key fail without a database.
"""

import hashlib
import secrets
import string
import zlib
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHARACTERS = frozenset(ALPHABET + "_")
LIVE, TEST = "sds_live_", "sds_test_"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 43, 6
MAX_LENGTH = 200  # characters of a header worth looking at


class NewKey(NamedTuple):
    text: str  # shown once, never stored
    prefix: str  # the brand and the key id: names the key
    digest: str  # what is stored


def mint(*, test: bool = False) -> NewKey:
    prefix = (TEST if test else LIVE) + "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    body = f"{prefix}_{_base62(int.from_bytes(secrets.token_bytes(32)), SECRET_LENGTH)}"
    text = body + _checksum(body)
    return NewKey(text, prefix, digest(text))


def digest(text: str) -> str:
    """SHA-256 is enough for 32 random bytes; a slow hash would cost a third of a second a request."""
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text: str) -> str | None:
    """The prefix of a well-formed key; None where the text cannot be a key that was minted here."""
    length = len(LIVE) + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
    if len(text) != length or not text.startswith((LIVE, TEST)) or not CHARACTERS.issuperset(text):
        return None
    if _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    return text[: len(LIVE) + ID_LENGTH]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
