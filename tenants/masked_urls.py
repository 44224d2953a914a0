"""Addresses that others wrote, as logs, the audit log and the panel show them.

Their paths and queries may hold a token of a receiver or a signature, so only scheme and host are shown.
"""

import re
from typing import Any

MORE = "…"  # stands for what is not shown
# Up to what ends a URL in a text: a space, a quote, an angle bracket.
_URL = re.compile(
    r"""(?P<scheme>https?://)(?:[^\s"'<>/?#]*@)?(?P<host>[^\s"'<>/?#@]+)(?P<rest>[^\s"'<>]*)""", re.IGNORECASE
)


def mask_urls(text: str) -> str:
    """Return the text with each URL in it cut behind its host."""
    return _URL.sub(lambda url: url["scheme"] + url["host"] + _cut(url["rest"]), text)


def host_only(url: str) -> str:
    """Return the URL of the host alone, which is a URL too."""
    return mask_urls(url).removesuffix(MORE)


def _cut(rest: str) -> str:
    return rest if rest in ("", "/") else f"/{MORE}"


def mask_all(value: Any) -> Any:
    """Return a value as JSON has it, with each URL in its texts cut behind the host."""
    match value:
        case str():
            return mask_urls(value)
        case dict():
            return {name: mask_all(item) for name, item in value.items()}
        case list() | tuple():
            return [mask_all(item) for item in value]
    return value
