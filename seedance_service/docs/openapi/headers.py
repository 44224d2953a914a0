"""The headers of answers: their descriptions, and which answers have them."""

from collections.abc import Sequence
from typing import Any

Part = dict[str, Any]  # of the document

ALWAYS = ".always"  # suffix of the component of a header that is always there
HEADERS: dict[str, tuple[str, Part, Any]] = {  # description, schema, example
    "X-Request-Id": (
        "The id of the request: the caller's own, if it sent a valid one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$"},
        "req_5f0c2b9e7d1a4c3e8b6f9a0d1c2e3f40",
    ),
    "WWW-Authenticate": ("Sent if the key is refused.", {"const": "Bearer"}, "Bearer"),
    "Retry-After": ("Seconds to wait before the next request.", {"type": "integer", "minimum": 0}, 8),
    "RateLimit": (
        "The tightest limit, if there is one: what remains, and the seconds until the limit resets "
        "(draft-ietf-httpapi-ratelimit-headers-10).",
        {"type": "string"},
        '"per_day";r=17;t=29382',
    ),
    "RateLimit-Policy": ("The same limit's size and window.", {"type": "string"}, '"per_day";q=200;w=86400'),
    "Location": ("The address of the result.", {"type": "string", "format": "uri-reference"}, "/v1/generations/ID"),
    "Idempotent-Replayed": (
        "`true`: this answers an earlier request with the same Idempotency-Key.",
        {"const": "true"},
        "true",
    ),
    "Preference-Applied": ("`wait=N`: the answer waited.", {"type": "string", "pattern": "^wait=[0-9]+$"}, "wait=30"),
    "ETag": ("The tag of this answer, for `If-None-Match`.", {"type": "string"}, '"9f86d081884c7d659a2feaa0c55ad015"'),
    "Link": (
        '`<…>; rel="next"`: the next page, if there is one. `<…>; rel="successor-version"`: the model that takes the '
        "place of one whose end is announced.",
        {"type": "string"},
        '</v1/generations>; rel="next"',
    ),
    "Deprecation": (
        "The day on which the end of the model was announced, in seconds since 1970 (RFC 9745).",
        {"type": "string", "pattern": "^@[0-9]+$"},
        "@1788220800",
    ),
    "Sunset": (
        "The time from which the model is retired and creates with it are refused (RFC 8594).",
        {"type": "string"},
        "Wed, 30 Sep 2026 00:00:00 GMT",
    ),
}


ENDING = {"Deprecation": False, "Sunset": False, "Link": False}  # of a model


def of_errors(problems: Sequence[Any]) -> dict[str, Part]:
    """Return the headers of an answer with one of these problems, which share a status."""
    names = {name for problem in problems for name in problem.headers}
    return _references(
        {name: all(name in problem.headers for problem in problems) for name in HEADERS if name in names}
    )


def of_success(path: str, status: str, operation: Part) -> dict[str, Part]:
    """Return the headers of a successful answer, which depend on the operation's parameters."""
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    required: dict[str, bool] = {}
    if "Idempotency-Key" in parameters:
        required |= {"RateLimit": False, "RateLimit-Policy": False, "Idempotent-Replayed": False}
        required |= ENDING
        required |= {"Location": True} if path.startswith("/v1/") else {}
    if "Prefer" in parameters:
        required |= {"Retry-After": status == "202", "Preference-Applied": False}
    if "If-None-Match" in parameters:
        required |= {"ETag": True}
    if "model_id" in parameters:
        required |= ENDING
    if "cursor" in parameters:
        required |= {"Link": False}
    if status == "302":
        required |= {"Location": True}
    return _references(required)


def _references(required: dict[str, bool]) -> dict[str, Part]:
    """Return references to these headers and to X-Request-Id. The value says whether a header is always there."""
    headers = {"X-Request-Id": True, **required}
    return {name: {"$ref": f"#/components/headers/{name}{ALWAYS * always}"} for name, always in headers.items()}


def components() -> dict[str, Part]:
    """Return each header twice, required and not: OpenAPI makes `required` a part of the header."""
    return {
        f"{name}{ALWAYS * always}": {"description": text, "required": always, "schema": schema, "example": example}
        for name, (text, schema, example) in HEADERS.items()
        for always in (True, False)
    }
