"""Call every operation of openapi.json with each of its examples, in one order.

An operation that never succeeds is found here, however slow the machine is: this part has no time limit, as the random
calls of Schemathesis have.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema

from tests.contract.service import Service

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())
METHODS = ("get", "post", "patch", "delete")  # in this order, but for the creates, which come first
JSON = "application/json"


def resolve(part: dict[str, Any]) -> Any:
    """Return the part of the document that a reference names, or the part itself if it is no reference."""
    target: Any = DOCUMENT
    for name in part.get("$ref", "").split("/")[1:]:
        target = target[name]
    return target if "$ref" in part else part


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and description of each operation: creates first, deletes last."""
    found = [(path, method, facts) for path, item in DOCUMENT["paths"].items() for method, facts in item.items()]
    return sorted(
        found, key=lambda entry: -1 if entry[2].get("requestBody") and "{" not in entry[0] else METHODS.index(entry[1])
    )


class Caller:
    """Alice, who calls the operations. `rows` has the ids of rows that exist."""

    def __init__(self, service: Service, rows: dict[str, Any]) -> None:
        self._http = httpx.Client(base_url=service.url, headers={"Authorization": service.keys["alice"]}, timeout=60)
        self._later = f"http://{service.outside.host}/later.jpg"  # the generation stays queued: it can be cancelled
        self._ids = {"generation_id": rows["generations"][0], "delivery_id": rows["deliveries"][0]}
        self._ids["task_id"] = self._ids["generation_id"]

    def failures(self) -> Iterator[str]:
        """Call each operation, and yield what went wrong."""
        for path, method, facts in operations():
            for title, body in _bodies(facts).items():
                name = f"{method.upper()} {path} ({title})"
                answer = self._call(path, method, facts, body)
                yield from (f"{name}: {message}" for message in _wrong(answer, facts))

    def _call(self, path: str, method: str, facts: dict[str, Any], body: Any) -> httpx.Response:
        """Call the operation with what it requires."""
        ids = dict(self._ids)
        if facts["operationId"] in ("generations_cancel", "generations_delete"):
            created = self._http.post("/v1/generations", json={"image": self._later, "resolution": "480p"})
            ids["generation_id"] = created.raise_for_status().json()["id"]
        if facts["operationId"] == "generations_delete":  # only a generation that has ended can be deleted
            self._http.post(f"/v1/generations/{ids['generation_id']}/cancel").raise_for_status()
        required = [parameter for parameter in facts.get("parameters", []) if parameter.get("required")]
        values = {item["name"]: ids.get(item["name"], item["example"]) for item in required}
        query = {item["name"]: values[item["name"]] for item in required if item["in"] == "query"}
        answer = self._http.request(method, path.format(**values), params=query, json=body)
        if facts["operationId"] == "webhook_endpoints_create" and answer.is_success:
            self._ids["endpoint_id"] = answer.json()["id"]
        return answer


def _bodies(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the bodies of an operation's examples by title; one None for an operation without a body."""
    content = facts.get("requestBody", {}).get("content", {})
    if JSON not in content:
        return {"no body": None}
    return {title: resolve(example)["value"] for title, example in content[JSON]["examples"].items()}


def _wrong(answer: httpx.Response, facts: dict[str, Any]) -> Iterator[str]:
    """Yield what differs between an answer and the document."""
    documented = facts["responses"].get(str(answer.status_code))
    if answer.status_code >= 400 or documented is None:
        yield f"answered {answer.status_code}, which is no success of the document: {answer.text[:500]}"
        return
    content = resolve(documented).get("content", {})
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if (kind if content else "") not in (content or {"": None}):
        yield f"answered with {kind}, which the document has not"
    elif kind == JSON:
        schema = {**content[kind]["schema"], "components": DOCUMENT["components"]}
        errors = jsonschema.Draft202012Validator(schema).iter_errors(answer.json())
        yield from (f"{error.json_path}: {error.message}" for error in errors)
