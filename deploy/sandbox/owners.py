"""The ids of API keys, as the sandbox's bills have them."""

import hashlib


def owner_of(key: str) -> str:
    """Return the id of a key, which does not show the key."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
