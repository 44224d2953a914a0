"""Which errors an operation can answer with, by what it is: with a body, of an id, a create. The one place that knows.

Each has its schema, its headers, and the example that the page of its code shows.
"""

from collections.abc import Iterator
from typing import Any

from seedance_service.docs import error_pages
from seedance_service.docs.error_advice import ADVICE
from seedance_service.docs.openapi import headers
from seedance_service.errors import problems
from seedance_service.errors.problems import Problem

Part = dict[str, Any]  # of the document
NOVITA = "/v3/"

ALWAYS: tuple[str, ...] = ("bad_request", "invalid_api_key", "scope_missing", "too_many_failed_authentications")
ALWAYS += ("not_acceptable", "internal_error", "database_unavailable")
WRITES = ("body_too_large", "length_required")  # of any method with which a body may come
BODY = ("invalid_request", "parse_error", "unsupported_media_type")
ASKED = ("invalid_request",)  # of parameters that are looked at
CREATES = tuple(name for name in ADVICE if name.startswith("image_") and name != "image_invalid")
CREATES += ("budget_reached", "limit_reached", "tenant_suspended", "no_sandbox", "idempotency_key_reused")
CREATES += ("storage_unavailable", "too_many_large_bodies")
OF_AN_ID = {
    "generation_id": "generation_not_found",
    "task_id": "generation_not_found",
    "endpoint_id": "webhook_endpoint_not_found",
    "delivery_id": "webhook_delivery_not_found",
}
VIDEO = ("video_not_ready", "no_video", "video_deleted")
NOT_POSSIBLE = ["generations_cancel", "generations_delete", "webhook_endpoints_create", "webhook_endpoints_change"]
NOT_POSSIBLE += ["webhook_endpoints_test", "webhook_deliveries_redeliver"]
ITS_OWN = {
    "generations_rerun": ("inputs_gone",),
    "generations_video": VIDEO,
    "generations_poster": VIDEO,
    **dict.fromkeys(NOT_POSSIBLE, ("not_possible",)),
}


def errors(path: str, method: str, operation: Part, responses: Part) -> Part:
    """The answers by their status, each a reference to the document's `responses`, where it is put once."""
    entrance, named = path[:4], set(_names(method, operation))
    found: dict[int, dict[str, Problem]] = {}
    for code in error_pages.all_codes().values():
        if code.name in named and code.problem and entrance in code.advice.apis:
            status = code.problem.wire_status if entrance == NOVITA else code.problem.status
            found.setdefault(status, {})[code.name] = code.problem
    return {str(status): _reference(entrance, found[status], responses) for status in sorted(found)}


def _names(method: str, operation: Part) -> Iterator[str]:
    """The codes."""
    asked = {one["name"]: one["in"] for one in operation.get("parameters", [])}
    yield from ALWAYS
    if method in ("post", "put", "patch"):
        yield from WRITES
    if "requestBody" in operation:
        yield from BODY
    if "query" in [asked[name] for name in asked.keys() - OF_AN_ID.keys()]:
        yield from ASKED
    if "Idempotency-Key" in asked:
        yield from CREATES
    yield from (code for name, code in OF_AN_ID.items() if name in asked)
    yield from ITS_OWN.get(operation["operationId"], ())


def _reference(entrance: str, found: dict[str, Problem], responses: Part) -> Part:
    """Under the name of its last code, which no other set of codes ends with."""
    name, answer = _name(entrance, list(found)[-1]), _answer(entrance, found)
    assert responses.setdefault(name, answer) == answer
    return {"$ref": f"#/components/responses/{name}"}


def _answer(entrance: str, found: dict[str, Problem]) -> Part:
    shape, kind = ("NovitaError", "application/json") if entrance == NOVITA else ("Problem", "application/problem+json")
    examples = {name: {"$ref": f"#/components/examples/{_name(entrance, name)}"} for name in found}
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{shape}"}, "examples": examples}}
    said = "\n".join(f"- `{name}`: {error_pages.all_codes()[name].means}" for name in found)
    return {"description": said, "headers": headers.of_errors(list(found.values())), "content": content}


def examples() -> dict[str, Part]:
    """Of each code at each entrance, for the components."""
    return {
        _name(entrance, code.name): {"summary": problems.title(code.name), "value": body}
        for code in error_pages.all_codes().values()
        for entrance, body in error_pages.bodies(code).items()
    }


def _name(entrance: str, code: str) -> str:
    return f"{entrance.strip('/')}_{code}"
