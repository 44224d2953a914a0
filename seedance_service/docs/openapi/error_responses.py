"""The errors that an operation can answer with, found from its method, its body and its parameters.

Each error has its schema, its headers, and the example that the page of its code shows.
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

ALWAYS: tuple[str, ...] = (
    "bad_request",
    "invalid_api_key",
    "address_not_allowed",
    "scope_missing",
    "too_many_failed_authentications",
)
ALWAYS += ("internal_error", "database_unavailable")
NEGOTIATED = ("not_acceptable",)
ANY_TYPE = ("generations_video", "generations_poster")  # operations that answer whatever the caller accepts
WRITES = (
    "body_too_large",
    "length_required",
    "body_too_slow",
    "too_many_bodies",
)  # of each method that may have a body
BODY = ("invalid_request", "parse_error", "unsupported_media_type")
QUERY = ("invalid_request",)  # of an operation that checks its query
CREATES = tuple(name for name in ADVICE if name.startswith("image_") and name != "image_invalid")
CREATES += (
    "budget_reached",
    "limit_reached",
    "model_not_allowed",
    "model_retired",
    "tenant_suspended",
    "model_not_offered",
    "price_unknown",
    "no_sandbox",
    "idempotency_key_reused",
)
CREATES += ("storage_unavailable", "too_many_large_bodies", "changed_concurrently")
NOT_FOUND = {
    "generation_id": "generation_not_found",
    "task_id": "generation_not_found",
    "endpoint_id": "webhook_endpoint_not_found",
    "delivery_id": "webhook_delivery_not_found",
    "model_id": "model_not_found",
}
VIDEO = ("video_not_ready", "no_video", "video_deleted")
NOT_POSSIBLE = ["generations_cancel", "generations_delete", "webhook_endpoints_create", "webhook_endpoints_change"]
NOT_POSSIBLE += ["webhook_endpoints_test", "webhook_deliveries_redeliver"]
OF_OPERATION = {
    "generations_rerun": ("inputs_gone", "model_unknown"),
    "generations_quote": ("too_many_large_bodies",),
    "models_get": ("model_not_allowed",),
    "generations_video": VIDEO,
    "generations_poster": VIDEO,
    **dict.fromkeys(NOT_POSSIBLE, ("not_possible",)),
}


def errors(path: str, method: str, operation: Part, responses: Part) -> Part:
    """Return the operation's error answers by status, as references. Put each answer once into `responses`."""
    api, names = path[:4], set(_names(method, operation))
    by_status: dict[int, dict[str, Problem]] = {}
    for code in error_pages.all_codes().values():
        if code.name in names and code.problem and api in code.advice.apis:
            status = code.problem.wire_status if api == NOVITA else code.problem.status
            by_status.setdefault(status, {})[code.name] = code.problem
    return {str(status): _reference(api, by_status[status], responses) for status in sorted(by_status)}


def _names(method: str, operation: Part) -> Iterator[str]:
    """Return the error codes that the operation can answer with."""
    places = {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", [])}
    yield from ALWAYS
    yield from [] if operation["operationId"] in ANY_TYPE else NEGOTIATED
    if method in ("post", "put", "patch"):
        yield from WRITES
    if "requestBody" in operation:
        yield from BODY
    if "query" in [places[name] for name in places.keys() - NOT_FOUND.keys()]:
        yield from QUERY
    if "Idempotency-Key" in places:
        yield from CREATES
    yield from (code for name, code in NOT_FOUND.items() if name in places)
    yield from OF_OPERATION.get(operation["operationId"], ())


def _reference(api: str, codes: dict[str, Problem], responses: Part) -> Part:
    """Return a reference to the answer. Its name is its last code, or all codes where another set ends with that."""
    name, answer = _name(api, list(codes)[-1]), _answer(api, codes)
    if responses.setdefault(name, answer) != answer:
        name = _name(api, "_".join(codes))
        assert responses.setdefault(name, answer) == answer
    return {"$ref": f"#/components/responses/{name}"}


def _answer(api: str, codes: dict[str, Problem]) -> Part:
    """Return the answer that has one of these problems."""
    schema, kind = ("NovitaError", "application/json") if api == NOVITA else ("Problem", "application/problem+json")
    examples = {name: {"$ref": f"#/components/examples/{_name(api, name)}"} for name in codes}
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": examples}}
    description = "\n".join(f"- `{name}`: {error_pages.all_codes()[name].means}" for name in codes)
    return {"description": description, "headers": headers.of_errors(list(codes.values())), "content": content}


def examples() -> dict[str, Part]:
    """Return the examples of each code in each API, for the components."""
    return {
        _name(api, code.name): {"summary": problems.title(code.name), "value": body}
        for code in error_pages.all_codes().values()
        for api, body in error_pages.bodies(code).items()
    }


def _name(api: str, code: str) -> str:
    return f"{api.strip('/')}_{code}"
