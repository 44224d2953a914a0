"""Render the OpenAPI document as Markdown, for readers without a browser. The text adds nothing to the document."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from seedance_service.docs.openapi import document as openapi

Schema = dict[str, Any]
SECTIONS = {"/v1/": "The service's own API", "/v3/": "Novita's wire format"}
HEAD = """# API reference

Every address of {title}, version {version}. {description}

Each address takes `Authorization: Bearer KEY`. [/openapi.json](/openapi.json) has the same as OpenAPI 3.1.
[Quickstart](/docs/quickstart) is the place to begin; [Errors](/docs/errors) lists every error code.
"""


@functools.cache
def text() -> str:
    """Return the API reference. The text is cached, since only the code changes it."""
    document = openapi.schema()
    paths, components = document["paths"], document["components"]
    parts = [*_operations(paths, components), *_answer_schemas(paths, components["schemas"])]
    return "\n".join([HEAD.format(**document["info"]), *parts])


def _operations(paths: Schema, components: Schema) -> Iterator[str]:
    for prefix, title in SECTIONS.items():
        yield f"## {title}\n"
        for path, operations in paths.items():
            if path.startswith(prefix):
                for method in operations:
                    yield from _operation(f"{method.upper()} {path}", operations[method], components)


def _operation(name: str, operation: Schema, components: Schema) -> Iterator[str]:
    schemas = components["schemas"]
    yield f"### {name}\n"
    for sentence in filter(None, (operation.get("summary"), operation.get("description"))):
        yield f"{_line(sentence).rstrip('.')}.\n"
    if operation.get("parameters"):
        rows = [_parameter(parameter, schemas) for parameter in operation["parameters"]]
        yield from _table(("parameter", "in", "type", ""), rows)
    for kinds, schema in _bodies(_content(operation)):
        yield f"Body, as {kinds}:\n"
        yield from _fields(schema, schemas, needed=", required")
    answers = {
        status: components["responses"][_name(answer)] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }
    yield from _table(("status", "answer"), [_answer(status, answer, schemas) for status, answer in answers.items()])


def _parameter(facts: Schema, schemas: Schema) -> tuple[str, ...]:
    needed = ", required" if facts.get("required") else ""
    return f"`{facts['name']}`", facts["in"], _kind(facts["schema"], schemas) + needed, facts.get("description", "")


def _content(operation: Schema) -> Schema:
    content: Schema = operation.get("requestBody", {}).get("content", {})
    return content


def _bodies(content: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each schema of a body once, with the media types that use it."""
    schemas: list[Schema] = []
    for media in content.values():
        if media["schema"] not in schemas:
            schemas.append(media["schema"])
    for schema in schemas:
        yield " or ".join(f"`{kind}`" for kind, media in content.items() if media["schema"] == schema), schema


def _fields(schema: Schema, schemas: Schema, needed: str = "", otherwise: str = "") -> Iterator[str]:
    """Yield a table of fields; `needed` is added to the type of required fields, `otherwise` to that of the rest."""
    resolved = schemas[_name(schema)] if "$ref" in schema else schema
    rows: list[tuple[str, ...]] = []
    for name, facts in resolved.get("properties", {}).items():
        suffix = needed if name in resolved.get("required", []) else otherwise
        rows.append((f"`{name}`", _kind(facts, schemas) + suffix, facts.get("description", "")))
    yield from _table(("field", "type", ""), rows)


def _answer(status: str, facts: Schema, schemas: Schema) -> tuple[str, ...]:
    bodies = [f"{_kind(media['schema'], schemas)} (`{kind}`)" for kind, media in facts.get("content", {}).items()]
    headers = [f"`{name}`" for name in facts.get("headers", {}) if name != "X-Request-Id"]
    codes = [f"[`{code}`](/docs/errors/{code})" for code in _codes(status, facts)]
    return status, "; ".join([" or ".join(bodies) or "no body", *headers, *codes])


def _codes(status: str, facts: Schema) -> Iterator[str]:
    """Yield the codes of an error answer: its examples are named by them."""
    if status >= "400":
        for media in facts.get("content", {}).values():
            yield from media["examples"]


def _answer_schemas(paths: Schema, schemas: Schema) -> Iterator[str]:
    """Yield a table for each schema of an answer. The fields of request bodies are listed with their operations."""
    operations = [operation for path in paths.values() for operation in path.values()]
    in_bodies = {name for operation in operations for name in _referenced(_content(operation))}
    answers = [answer for operation in operations for answer in operation["responses"].values()]
    in_answers = {name for answer in answers for name in _referenced(answer)}
    yield "## Schemas\n\nA field is always there, unless its type says otherwise.\n"
    for name, schema in schemas.items():
        if "properties" in schema and name not in in_bodies - in_answers:
            yield f"### {name}\n"
            yield from _fields(schema, schemas, otherwise=", not always there")


def _referenced(part: Schema) -> list[str]:
    """Return the names of the schemas that a part of the document refers to."""
    return re.findall(r"'#/components/schemas/(\w+)'", str(part))


def _kind(schema: Schema, schemas: Schema) -> str:
    """Return what a value may be, in words."""
    if "$ref" in schema:
        resolved = schemas[_name(schema)]
        return _name(schema) if "properties" in resolved else _default(_kind(resolved, schemas), schema)
    for group in ("oneOf", "allOf"):
        if group in schema:
            return _default(" or ".join(_kind(option, schemas) for option in schema[group]), schema)
    if "enum" in schema:
        return _default(" or ".join(f"`{'null' if value is None else value}`" for value in schema["enum"]), schema)
    types = schema.get("type", "any value")
    names = [_type(name, schema, schemas) for name in ([types] if isinstance(types, str) else types)]
    return _default(" or ".join(names), schema)


def _type(name: str, schema: Schema, schemas: Schema) -> str:
    match name:
        case "array":
            return f"list of {_kind(schema.get('items', {}), schemas)}"
        case "object" if "additionalProperties" in schema:
            return f"object of {_kind(schema['additionalProperties'] or {}, schemas)}"
        case "string" if "format" in schema:
            return f"string ({schema['format']})"
        case "string" if "maxLength" in schema:
            return f"string of at most {schema['maxLength']} characters"
        case "integer" if "maximum" in schema:
            return f"integer from {schema.get('minimum', 0)} to {schema['maximum']}"
    return name


def _default(kind: str, schema: Schema) -> str:
    value = schema.get("default")
    return kind if value is None or value in ("", {}) else f"{kind} (default `{str(value).lower()}`)"


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(_line(cell) for cell in row) + " |"
    yield ""
