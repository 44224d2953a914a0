"""Bodies of creates that fit one model: the document's schema takes the fields of all models beside each other.

The exact schema of each model is the one that the service shows at GET /v1/models/ID.
"""

from typing import Any

import jsonschema

DEFAULT = "seedance-v1-lite-i2v"
SAMPLES = {"prompt": "a ship", "resolution": "720p", "aspect_ratio": "16:9", "duration": 5}  # each model takes them


def fit(body: dict[str, Any], schemas: dict[str, Any], image: Any, source: str | None = None) -> dict[str, Any]:
    """Return the body without what its model does not take, and with what the model requires.

    `schemas` has the schema of each model that takes creates; another model is left out of the body. `source` is the
    model of a rerun's source, which has the values that the body has not. A rerun with another model gets values of
    its own where that model might not take the source's.
    """
    model = body.get("model") if body.get("model") in schemas else None
    schema = schemas[model or source or DEFAULT]
    fitting = {
        name: value
        for name, value in body.items()
        if name != "model" and name in schema["properties"] and _is_valid(schema["properties"][name], value)
    }
    names = {*schema["required"]} - {"model"} if source is None else {*schema["required"], *SAMPLES} - {"model"}
    if source is None or model not in (None, source):
        fitting = {name: SAMPLES.get(name, image) for name in sorted(names) if name in schema["properties"]} | fitting
        for rule in schema.get("allOf", ()):  # such as the prompt, where there is no image
            if _is_valid(rule["if"], fitting) and not _is_valid(rule["then"], fitting):
                fitting |= {name: SAMPLES.get(name, image) for name in rule["then"].get("required", ())}
    return {**fitting, "model": model} if model else fitting


def _is_valid(schema: dict[str, Any], value: Any) -> bool:
    """Return whether the value is valid. A file of a form is no JSON: it goes as a text, which an image may be."""
    value = value if value is None or isinstance(value, str | bool | int | float | dict | list) else "a file"
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))
