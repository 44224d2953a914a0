"""The steps after drf-spectacular has made the OpenAPI document: names, forms, errors, headers, examples and links."""

from http import HTTPStatus
from typing import Any

from seedance_service.docs.openapi import (
    error_responses,
    error_schemas,
    examples,
    headers,
    links,
    multipart,
    named_schemas,
    wire_examples,
)

Part = dict[str, Any]  # of the document
# No field of these bodies is required of every model, and yet each model requires some.
BODY_REQUIRED = ("generations_create", "generations_quote")


def complete(result: Part, generator: Any, request: Any, public: bool) -> Part:
    """Return the completed document. drf-spectacular calls this hook with these names."""
    components = result["components"]
    result["paths"] = named_schemas.replace_enums(result["paths"])
    schemas = named_schemas.replace_enums(components["schemas"]) | named_schemas.schemas() | error_schemas.SCHEMAS
    components["schemas"] = schemas
    components |= {"examples": error_responses.examples(), "headers": headers.components(), "responses": {}}
    _describe_defaults(result["paths"], schemas)
    bodies, answers = examples.REQUESTS | wire_examples.bodies(), examples.ANSWERS | wire_examples.answers()
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            multipart.separate_form(operation, schemas)
            examples.add(operation, bodies, answers)
            _complete(path, method, operation, components["responses"])
    components["schemas"] = dict(sorted(schemas.items()))
    return result


def _describe_defaults(paths: Part, schemas: Part) -> None:
    """Move the defaults of bodies into their descriptions.

    openapi-typescript requires a field that has a `default`, in a request too.
    """
    operations = [operation for item in paths.values() for operation in item.values()]
    contents = [operation["requestBody"]["content"] for operation in operations if "requestBody" in operation]
    for name in {media["schema"]["$ref"].rpartition("/")[2] for content in contents for media in content.values()}:
        for schema in schemas[name]["properties"].values():
            default = schema.pop("default", None)
            if default not in (None, "", [], {}):
                text = f"Default: `{str(default).lower() if isinstance(default, bool) else default}`."
                schema["description"] = f"{schema.get('description', '')} {text}".strip()


def _complete(path: str, method: str, operation: Part, responses: Part) -> None:
    if operation["operationId"] in BODY_REQUIRED:
        operation["requestBody"]["required"] = True
    links.add(operation)
    for status, answer in operation["responses"].items():
        answer["description"] = answer["description"] or HTTPStatus(int(status)).phrase
        answer["headers"] = headers.of_success(path, status, operation)
    operation["responses"] |= error_responses.errors(path, method, operation, responses)
