"""Clean the text of other systems before it is stored, logged or shown to a person.

An upstream, a bucket or an image's server may repeat a secret of ours, or send characters that no database stores and
no line shows. Every such text passes `clean` where it enters the service.
"""

import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings

HIDDEN = "[hidden]"
MIN_SECRET_CHARS = 8  # a shorter secret is a common word, which would be hidden everywhere
MAX_CHARS = 500  # of a text that nothing else limits
# Those of upstream accounts are added when the wires are loaded.
SECRET_SETTINGS = [
    *("SECRET_KEY", "METRICS_TOKEN", "NOVITA_API_KEY", "ARK_API_KEY", "SANDBOX_API_KEY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SESSION_TOKEN"),
    *("EMAIL_HOST_PASSWORD", "OIDC_CLIENT_SECRET"),
]
# Each may hold a password.
URL_SETTINGS = ["BROKER_URL", "NOVITA_BASE_URL", "ARK_BASE_URL", "SANDBOX_BASE_URL", "S3_ENDPOINT_URL"]
# Each pattern after a text, in lower case, without which it can not match: most texts hold none of these.
PATTERNS = [
    # The query of any URL may hold a signature.
    ("://", re.compile(r"(https?://[^\s?'\"<>\\]+)\?[^\s'\"<>\\]+"), rf"\1?{HIDDEN}"),
    ("x-amz-", re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&'\"\\]+"), rf"\1{HIDDEN}"),
    ("bearer", re.compile(r"(?i)(Bearer\s+)[^\s'\",}\\]+"), rf"\1{HIDDEN}"),
    # Our own keys: the prefix stays, which names the key and opens nothing.
    ("sds_", re.compile(r"(sds_(?:live|test)_[0-9A-Za-z]{12}_)[0-9A-Za-z]+"), rf"\1{HIDDEN}"),
    ("whsec_", re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]+"), f"whsec_{HIDDEN}"),
    # The form of the upstream's keys: it may name another one of ours than the one in use.
    ("sk-", re.compile(r"(?i)\b(sk-)[0-9A-Za-z_-]{8,}"), rf"\1{HIDDEN}"),
    ("sk_", re.compile(r"(?i)\b(sk_)[0-9A-Za-z_-]{8,}"), rf"\1{HIDDEN}"),
    # A JSON Web Token, as the company's login sends it.
    ("eyj", re.compile(r"\beyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*"), HIDDEN),
    # A password in a database's or broker's URL.
    ("://", re.compile(r"(://[^\s:/@'\"\\]*):[^\s/@'\"\\]+@"), rf"\1:{HIDDEN}@"),
]
BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")
# What `single_line` refuses, and halves of surrogate pairs, which have no UTF-8.
INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean(text: object, max_chars: int = MAX_CHARS) -> str:
    """Return the text on one line, without secrets and invisible characters, cut to `max_chars` characters."""
    # Characters go first, or they could stand within a secret; the cut is last, or it could leave a part of one.
    line = INVISIBLE.sub("", BREAKS.sub(" ", str(text)))
    if found := known_secrets():
        line = _any_of(found).sub(HIDDEN, line)
    line = redact(line[: 4 * max_chars]).strip()  # the patterns take long for a text of a megabyte
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with all that looks like a secret, and all of `secrets`, hidden."""
    lowered = text.lower()
    for mark, pattern, replacement in PATTERNS:
        if mark in lowered:
            text = pattern.sub(replacement, text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def known_secrets() -> tuple[str, ...]:
    """Return the secrets in the settings, the longest first: a secret may be a part of another."""
    values = [getattr(settings, name, "") for name in SECRET_SETTINGS]
    values += getattr(settings, "SECRET_KEY_FALLBACKS", [])
    passwords = [_password(getattr(settings, name, "")) for name in URL_SETTINGS]
    database = settings.DATABASES.get("default", {})
    if database.get("PASSWORD") not in (database.get("USER"), database.get("NAME")):  # such a password is a plain word
        passwords.append(database.get("PASSWORD") or "")
    values += [form for password in passwords for form in (password, unquote(password))]
    secrets = {value for value in values if value and len(value) >= MIN_SECRET_CHARS}
    return tuple(sorted(secrets, key=len, reverse=True))


def _password(url: str) -> str:
    """Return the password in the URL, or "" if there is none, or the URL is invalid."""
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


@cache
def _any_of(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of any of the secrets, as they are or percent-encoded, in any case."""
    forms = [form for secret in secrets for form in dict.fromkeys((secret, quote(secret, safe="")))]
    return re.compile("|".join(map(re.escape, forms)), re.IGNORECASE)
