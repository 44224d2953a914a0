"""The headers of answers: what each says, and which answers have it."""

from collections.abc import Sequence
from typing import Any

Part = dict[str, Any]  # of the document

ALWAYS = ".always"  # of the name of a header that each answer of its kind has
KNOWN: dict[str, tuple[str, Part, Any]] = {  # what it says, its schema, an example
    "X-Request-Id": (
        "The id of the request: the caller's own, where it sent a sane one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$"},
        "req_5f0c2b9e7d1a4c3e8b6f9a0d1c2e3f40",
    ),
    "WWW-Authenticate": ("Where the key is refused.", {"const": "Bearer"}, "Bearer"),
    "Retry-After": ("Seconds after which asking again is worth it.", {"type": "integer", "minimum": 0}, 8),
    "RateLimit": (
        "The tightest limit, where there is one: what is left of it, and the seconds until it resets "
        "(draft-ietf-httpapi-ratelimit-headers-10).",
        {"type": "string"},
        '"per_day";r=17;t=29382',
    ),
    "RateLimit-Policy": ("The same limit's size and window.", {"type": "string"}, '"per_day";q=200;w=86400'),
    "Location": ("Where it is.", {"type": "string", "format": "uri-reference"}, "/v1/generations/ID"),
    "Idempotent-Replayed": (
        "`true`: it is the answer to an earlier request with this Idempotency-Key.",
        {"const": "true"},
        "true",
    ),
    "Preference-Applied": ("`wait=N`: the answer waited.", {"type": "string", "pattern": "^wait=[0-9]+$"}, "wait=30"),
    "Link": (
        '`<…>; rel="next"`: the next page. Where there is one.',
        {"type": "string"},
        '</v1/generations>; rel="next"',
    ),
}


def of_errors(found: Sequence[Any]) -> dict[str, Part]:
    """What the problems of one status bring with them."""
    named = {name for problem in found for name in problem.headers}
    return _told({name: all(name in problem.headers for problem in found) for name in KNOWN if name in named})


def of_success(path: str, status: str, operation: Part) -> dict[str, Part]:
    """By the parameters that it comes of."""
    asked = {one["name"] for one in operation.get("parameters", [])}
    named: dict[str, bool] = {}
    if "Idempotency-Key" in asked:
        named |= {"RateLimit": False, "RateLimit-Policy": False, "Idempotent-Replayed": False}
        named |= {"Location": True} if path.startswith("/v1/") else {}
    if "Prefer" in asked:
        named |= {"Retry-After": status == "202", "Preference-Applied": False}
    if "cursor" in asked:
        named |= {"Link": False}
    if status == "302":
        named |= {"Location": True}
    return _told(named)


def _told(named: dict[str, bool]) -> dict[str, Part]:
    """Each, and whether it is always there."""
    all_of_them = {"X-Request-Id": True, **named}
    return {name: {"$ref": f"#/components/headers/{name}{ALWAYS * needed}"} for name, needed in all_of_them.items()}


def components() -> dict[str, Part]:
    """Each twice: whether it is always there is a part of what a header is."""
    return {
        f"{name}{ALWAYS * needed}": {"description": said, "required": needed, "schema": schema, "example": example}
        for name, (said, schema, example) in KNOWN.items()
        for needed in (True, False)
    }
