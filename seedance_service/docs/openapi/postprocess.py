"""The last hand at the OpenAPI document: each operation's errors, headers and examples, and forms beside JSON."""

from http import HTTPStatus
from typing import Any

from seedance_service.docs.openapi import error_responses, error_schemas, examples, headers, links, multipart

Part = dict[str, Any]  # of the document


def complete(result: Part, generator: Any, request: Any, public: bool) -> Part:
    """A hook of drf-spectacular's, which calls it with these names."""
    components = result["components"]
    components["schemas"] = dict(sorted((components["schemas"] | error_schemas.SHAPES).items()))
    components |= {"examples": error_responses.examples(), "headers": headers.components(), "responses": {}}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            multipart.part_from_json(operation, components["schemas"])
            _complete(path, method, operation, components["responses"])
    return result


def _complete(path: str, method: str, operation: Part, responses: Part) -> None:
    examples.add(operation)
    links.add(operation)
    for status, answer in operation["responses"].items():
        answer["description"] = answer["description"] or HTTPStatus(int(status)).phrase
        answer["headers"] = headers.of_success(path, status, operation)
    operation["responses"] |= error_responses.errors(path, method, operation, responses)
