"""A create as multipart/form-data: the JSON body's fields, in the form that generations/api/multipart.py reads."""

from typing import Any

from generations.intake.generation_request import IMAGE_FIELDS as FILES

Part = dict[str, Any]  # of the document
FORM = "multipart/form-data"
FILE = "A file, or a text as in JSON. "
METADATA = " A JSON object; or a field for each name, such as `metadata[order]`."


def separate_form(operation: Part, schemas: Part) -> None:
    """Give the operation's form, if it takes one, a schema beside the JSON body's: with files, and without null."""
    content = operation.get("requestBody", {}).get("content", {})
    if FORM not in content:
        return
    name = content[FORM]["schema"]["$ref"].rpartition("/")[2]
    properties = {field: _form_field(field, schema) for field, schema in schemas[name]["properties"].items()}
    schemas[f"{name}Form"] = {**schemas[name], "properties": properties}
    content[FORM]["schema"] = {"$ref": f"#/components/schemas/{name}Form"}


def _form_field(name: str, schema: Part) -> Part:
    if name in FILES:
        return {"type": "string", "format": "binary", "description": FILE + schema["description"]}
    schema = dict(schema)
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema["type"] = kinds if len(kinds) > 1 else kinds[0]
    if "oneOf" in schema:
        schema = {**schema.pop("oneOf")[0], **schema}
    if name == "metadata":
        schema["description"] += METADATA
    return schema
