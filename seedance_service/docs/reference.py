"""The OpenAPI document as Markdown, for who reads it without a browser. It adds nothing to what stands there."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator

Schema = dict[str, Any]
SECTIONS = {"/v1/": "The service's own API", "/v3/": "Novita's wire format"}
HEAD = """# API reference

Every address of {title}, version {version}. {description}

Each takes `Authorization: Bearer KEY`. The same as OpenAPI 3.1: [/openapi.json](/openapi.json). What can go wrong is in
[Errors](/docs/errors), and how to begin in [Quickstart](/docs/quickstart).
"""


@functools.cache
def text() -> str:
    """It changes only with the code."""
    generator: Any = SchemaGenerator  # it has no types
    document: Schema = generator().get_schema(request=None, public=True)
    paths, components = document["paths"], document["components"]
    parts = [*_operations(paths, components), *_shapes(paths, components["schemas"])]
    return "\n".join([HEAD.format(**document["info"]), *parts])


def _operations(paths: Schema, components: Schema) -> Iterator[str]:
    for prefix, title in SECTIONS.items():
        yield f"## {title}\n"
        for path, operations in paths.items():
            if path.startswith(prefix):
                for method in operations:
                    yield from _operation(f"{method.upper()} {path}", operations[method], components)


def _operation(name: str, facts: Schema, components: Schema) -> Iterator[str]:
    shapes = components["schemas"]
    yield f"### {name}\n"
    for sentence in filter(None, (facts.get("summary"), facts.get("description"))):
        yield f"{_line(sentence).rstrip('.')}.\n"
    if facts.get("parameters"):
        yield from _table(("parameter", "in", "type", ""), [_parameter(one, shapes) for one in facts["parameters"]])
    for kinds, schema in _bodies(_content(facts)):
        yield f"Body, as {kinds}:\n"
        yield from _fields(schema, shapes, needed=", required")
    answers = facts["responses"].items()
    inlined = {status: components["responses"][_name(one)] if "$ref" in one else one for status, one in answers}
    yield from _table(("status", "answer"), [_answer(status, one, shapes) for status, one in inlined.items()])


def _parameter(facts: Schema, shapes: Schema) -> tuple[str, ...]:
    needed = ", required" if facts.get("required") else ""
    return f"`{facts['name']}`", facts["in"], _kind(facts["schema"], shapes) + needed, facts.get("description", "")


def _content(operation: Schema) -> Schema:
    content: Schema = operation.get("requestBody", {}).get("content", {})
    return content


def _bodies(content: Schema) -> Iterator[tuple[str, Schema]]:
    """Each schema once, with the media types that have it."""
    schemas: list[Schema] = []
    for media in content.values():
        if media["schema"] not in schemas:
            schemas.append(media["schema"])
    for schema in schemas:
        yield " or ".join(f"`{kind}`" for kind, media in content.items() if media["schema"] == schema), schema


def _fields(schema: Schema, shapes: Schema, needed: str = "", otherwise: str = "") -> Iterator[str]:
    """A row of each; `needed` and `otherwise` are said of those that the schema requires, and of the rest."""
    shape = shapes[_name(schema)] if "$ref" in schema else schema
    rows: list[tuple[str, ...]] = []
    for name, facts in shape.get("properties", {}).items():
        said = needed if name in shape.get("required", []) else otherwise
        rows.append((f"`{name}`", _kind(facts, shapes) + said, facts.get("description", "")))
    yield from _table(("field", "type", ""), rows)


def _answer(status: str, facts: Schema, shapes: Schema) -> tuple[str, ...]:
    told = [f"{_kind(media['schema'], shapes)} (`{kind}`)" for kind, media in facts.get("content", {}).items()]
    headers = [f"`{name}`" for name in facts.get("headers", {}) if name != "X-Request-Id"]
    known = [f"[`{code}`](/docs/errors/{code})" for code in _codes(status, facts)]
    return status, "; ".join([" or ".join(told) or "no body", *headers, *known])


def _codes(status: str, facts: Schema) -> Iterator[str]:
    """Of an error, whose examples have their names."""
    if status >= "400":
        for media in facts.get("content", {}).values():
            yield from media["examples"]


def _shapes(paths: Schema, shapes: Schema) -> Iterator[str]:
    """Those of answers: the fields of a body stand with its operation."""
    operations = [one for path in paths.values() for one in path.values()]
    asked = {name for one in operations for name in _named(_content(one))}
    answered = {name for one in operations for answer in one["responses"].values() for name in _named(answer)}
    yield "## Shapes\n\nA field is always there, unless its type says otherwise.\n"
    for name, shape in shapes.items():
        if "properties" in shape and name not in asked - answered:
            yield f"### {name}\n"
            yield from _fields(shape, shapes, otherwise=", not always there")


def _named(part: Schema) -> list[str]:
    """The shapes that some part of the document refers to."""
    return re.findall(r"'#/components/schemas/(\w+)'", str(part))


def _kind(schema: Schema, shapes: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        shape = shapes[_name(schema)]
        return _name(schema) if "properties" in shape else _kind(shape, shapes)
    for group in ("oneOf", "allOf"):
        if group in schema:
            return _default(" or ".join(_kind(one, shapes) for one in schema[group]), schema)
    if "enum" in schema:
        return _default(" or ".join(f"`{'null' if one is None else one}`" for one in schema["enum"]), schema)
    types = schema.get("type", "any value")
    names = [_type(one, schema, shapes) for one in ([types] if isinstance(types, str) else types)]
    return _default(" or ".join(names), schema)


def _type(name: str, schema: Schema, shapes: Schema) -> str:
    match name:
        case "array":
            return f"list of {_kind(schema.get('items', {}), shapes)}"
        case "object" if "additionalProperties" in schema:
            return f"object of {_kind(schema['additionalProperties'] or {}, shapes)}"
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
