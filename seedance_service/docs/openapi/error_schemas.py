"""The two formats of an error as JSON Schema. No serializer makes errors, so these are written by hand."""

from typing import Any

TEXT = {"type": "string"}
FAULT = {
    "type": "object",
    "required": ["field", "detail", "code"],
    "properties": {
        "field": {
            **TEXT,
            "description": "The path of the field, such as `metadata.order`; empty for the request as a whole.",
        },
        "detail": TEXT,
        "code": TEXT,
    },
}
EXCEEDED_LIMIT = {
    "description": "The limit that refused the request.",
    "allOf": [
        {"$ref": "#/components/schemas/Limit"},
        {
            "type": "object",
            "required": ["wanted"],
            "properties": {
                "wanted": {"type": ["integer", "string"], "description": "The amount that the request needs."}
            },
        },
    ],
}
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {**TEXT, "format": "uri-reference", "description": "The page of the code."},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {**TEXT, "description": "A sentence for people."},
        "code": {
            **TEXT,
            "pattern": "^[a-z0-9_]+$",
            "description": "The code for programs: `/docs/errors` lists all codes.",
        },
        "request_id": {**TEXT, "description": "The same as in `X-Request-Id`."},
        "errors": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Fault"},
            "description": "Every field that is wrong.",
        },
        "limit": {"$ref": "#/components/schemas/ExceededLimit"},
        "replacement": {
            "type": ["string", "null"],
            "description": "Of `model_retired`: the model to use in place of the retired one; null if there is none.",
        },
    },
}
NOVITA_ERROR_METADATA = {
    "type": "object",
    "additionalProperties": TEXT,
    "description": "The wrong fields, the limit that refused the request, the `replacement` of a retired model, and "
    "the `request_id`.",
}
NOVITA_ERROR = {
    "type": "object",
    "description": "Novita's envelope.",
    "required": ["code", "reason", "message", "metadata"],
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "reason": {**TEXT, "pattern": "^[A-Z_]+$"},
        "message": TEXT,
        "metadata": {"$ref": "#/components/schemas/NovitaErrorMetadata"},
    },
}
SCHEMAS: dict[str, Any] = {
    "ExceededLimit": EXCEEDED_LIMIT,
    "Fault": FAULT,
    "NovitaError": NOVITA_ERROR,
    "NovitaErrorMetadata": NOVITA_ERROR_METADATA,
    "Problem": PROBLEM,
}
