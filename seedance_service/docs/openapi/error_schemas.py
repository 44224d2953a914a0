"""The two forms of an error, as JSON Schema: no serializer makes them."""

from typing import Any

TEXT = {"type": "string"}
FAULT = {
    "type": "object",
    "required": ["field", "detail", "code"],
    "properties": {
        "field": {
            **TEXT,
            "description": "The path of the field, such as `metadata.order`; empty: the request's whole.",
        },
        "detail": TEXT,
        "code": TEXT,
    },
}
LIMIT = {
    "description": "Which limit refused it.",
    "allOf": [
        {"$ref": "#/components/schemas/Limit"},
        {
            "type": "object",
            "required": ["wanted"],
            "properties": {"wanted": {"type": ["integer", "string"], "description": "What it would have taken."}},
        },
    ],
}
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {**TEXT, "format": "uri-reference", "description": "The page of its code."},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {**TEXT, "description": "A sentence to read."},
        "code": {**TEXT, "pattern": "^[a-z0-9_]+$", "description": "What a program reads: `/docs/errors` lists them."},
        "request_id": {**TEXT, "description": "As in `X-Request-Id`."},
        "errors": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Fault"},
            "description": "Every field that is wrong.",
        },
        "limit": LIMIT,
    },
}
NOVITA_ERROR = {
    "type": "object",
    "description": "Novita's envelope.",
    "required": ["code", "reason", "message", "metadata"],
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "reason": {**TEXT, "pattern": "^[A-Z_]+$"},
        "message": TEXT,
        "metadata": {
            "type": "object",
            "additionalProperties": TEXT,
            "description": "What is wrong by field, the limit that refused it, and the `request_id`.",
        },
    },
}
SHAPES: dict[str, Any] = {"Fault": FAULT, "NovitaError": NOVITA_ERROR, "Problem": PROBLEM}
