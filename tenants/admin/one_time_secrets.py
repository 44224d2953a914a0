"""A new key or signing secret between the form that made it and the page that shows it, once.

The session holds it encrypted, and the address of the page holds the key to it: neither the database nor an address
that was logged shows it alone. Showing it removes it, so a reload shows nothing, and makes no other.
"""

import json
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from django.http import HttpRequest

PARAMETER = "shown"  # of the page's address: the key
SESSION_KEY = "one-time secret"
MAX_AGE_SECONDS = 300  # for the redirect; an address that is opened later shows nothing


@dataclass(frozen=True)
class OneTimeSecret:
    """An outcome of an action that is shown once: the text of a new key or signing secret."""

    title: str
    text: str
    warning: str
    note: str = ""  # says how long the replaced secret stays valid


def store(request: HttpRequest, secret: OneTimeSecret) -> str:
    """Store the secret in the session. Return the key for the address of the page that shows it."""
    key = Fernet.generate_key()
    request.session[SESSION_KEY] = Fernet(key).encrypt(json.dumps(vars(secret)).encode()).decode()
    return key.decode()


def take(request: HttpRequest, key: str) -> OneTimeSecret | None:
    """Remove the secret from the session, and return it. Return None if there is none, or the key is another's."""
    text = request.session.get(SESSION_KEY, "")
    try:
        secret = OneTimeSecret(**json.loads(Fernet(key).decrypt(text.encode(), ttl=MAX_AGE_SECONDS)))
    except (InvalidToken, ValueError):  # a ValueError: the key is no key
        return None
    del request.session[SESSION_KEY]
    return secret
