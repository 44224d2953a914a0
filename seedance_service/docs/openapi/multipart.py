"""A create as multipart/form-data: the JSON body's fields as generations/api/multipart.py reads them."""

from typing import Any

from generations.api.multipart import FILES

Part = dict[str, Any]  # of the document
FORM = "multipart/form-data"
FILE = "A file of at most 30 MB (31,457,280 bytes), or a text as in JSON."


def part_from_json(operation: Part, schemas: Part) -> None:
    """Where the operation takes a form, it gets a schema of its own: of files, and without null."""
    content = operation.get("requestBody", {}).get("content", {})
    if FORM not in content:
        return
    name = content[FORM]["schema"]["$ref"].rpartition("/")[2]
    schemas[f"{name}Form"] = _as_form(schemas[name])
    content[FORM]["schema"] = {"$ref": f"#/components/schemas/{name}Form"}


def _as_form(shape: Part) -> Part:
    fields = {name: _field(name, facts) for name, facts in shape["properties"].items()}
    name, value = fields["metadata"]["propertyNames"], fields["metadata"]["additionalProperties"]
    letters = name["pattern"].removeprefix("^").removesuffix("*$")
    labels = {rf"^metadata\[{letters}{{{name['minLength']},{name['maxLength']}}}\]$": value}
    return {**shape, "properties": fields, "patternProperties": labels}


def _field(name: str, facts: Part) -> Part:
    if name in FILES:
        return {"type": "string", "format": "binary", "description": FILE}
    told = {key: value for key, value in facts.items() if key != "default" or value not in (None, {}, "")}
    if isinstance(told.get("type"), list):
        [told["type"]] = [kind for kind in told["type"] if kind != "null"]
    if "enum" in told:
        told["enum"] = [value for value in told["enum"] if value is not None]
    return told
