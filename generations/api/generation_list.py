"""GET /v1/generations and its filters."""

import re
from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from generations import single_line
from generations.api import fields, generation_queries, pagination
from generations.api.fields import Choice, QueryInteger, SingleLine, Text, Timestamp
from generations.models import Generation
from tenants.api.base import key_of
from tenants.models import ApiKey

BRACKETED = re.compile(r"metadata\[(.+)\]", re.DOTALL)
MAX_SEED = 2**32 - 1  # of any model
NAME = SingleLine(max_length=fields.MAX_METADATA_NAME_CHARS)
VALUE = Text(max_length=fields.MAX_METADATA_VALUE_CHARS, allow_blank=True)

# An array of texts, since each generator of clients sends such a parameter in the same way. The Python one sends an
# object's names without the parameter's.
LABELS = OpenApiParameter(
    "metadata",
    {
        "type": "array",
        "maxItems": fields.MAX_METADATA_NAMES,
        "items": {
            "type": "string",
            "maxLength": fields.MAX_METADATA_NAME_CHARS + 1 + fields.MAX_METADATA_VALUE_CHARS,
            "pattern": f"{single_line.PATTERN.removesuffix('*$').replace('[^', '[^=', 1)}"
            f"{{1,{fields.MAX_METADATA_NAME_CHARS}}}=[^\\x00]{{0,{fields.MAX_METADATA_VALUE_CHARS}}}$",
        },
    },
    style="form",
    explode=True,
    description="`metadata=order=4711`: the metadata has this name with this value. Of several, all must match. "
    "`metadata[order]=4711` says the same, and is the form for a name with `=`.",
)


class Filters(pagination.Query):
    """The filters of the list of generations."""

    REPEATABLE = frozenset({"metadata"})

    status = Choice(Generation.Status.values, required=False)
    model = SingleLine(required=False, max_length=50)
    seed = QueryInteger(required=False, min_value=0, max_value=MAX_SEED)
    key = SingleLine(required=False, max_length=40, help_text="Prefix of the API key that created the generation.")
    external_id = SingleLine(required=False, max_length=255)
    created_after = Timestamp(required=False, help_text="Created at this time or later; UTC if without an offset.")
    created_before = Timestamp(required=False, help_text="Created before this time.")
    metadata_key = SingleLine(
        required=False, max_length=fields.MAX_METADATA_NAME_CHARS, help_text="The metadata has this name."
    )

    def is_known(self, name: str) -> bool:
        return super().is_known(name) or name == "metadata" or bool(BRACKETED.fullmatch(name))

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        try:
            labels = [(NAME.run_validation(name), VALUE.run_validation(text)) for name, text in _read_labels(data)]
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"metadata": error.detail}) from error
        return {**values, "metadata": list(dict.fromkeys(labels))}


def _read_labels(query: Any) -> list[tuple[str, str]]:
    """Return the names and values that the query asks for, in both forms. Raise ValidationError."""
    pairs = [text.partition("=") for text in query.getlist("metadata")]
    if not all(separator for _, separator, _ in pairs):
        raise serializers.ValidationError("Write NAME=VALUE, as in metadata=order=4711.", code="invalid")
    labels = [(name, value) for name, _, value in pairs]
    labels += [(match[1], text) for name, text in query.items() if (match := BRACKETED.fullmatch(name))]
    if len(labels) > fields.MAX_METADATA_NAMES:  # no generation has more of them, and each is a join
        message = f"At most {fields.MAX_METADATA_NAMES} names can be filtered by."
        raise serializers.ValidationError(message, code="invalid")
    return labels


def load_page(request: Request) -> pagination.Page[Generation]:
    """Return the page of the caller's generations that the query asks for. Raise ValidationError."""
    filters = fields.validate(Filters, request.query_params)
    read = partial(generation_queries.read, *conditions(key_of(request), filters))
    return pagination.load_page(request, read, filters["limit"], filters.get("cursor"))


def conditions(key: ApiKey, filters: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Return the values and labels by which the key's generations are filtered, as `generation_queries` takes them."""
    values = {name: value for name, value in filters.items() if name in generation_queries.EXAMPLES}
    labels = [*filters["metadata"], *([(filters["metadata_key"],)] if "metadata_key" in filters else [])]
    return {"tenant": key.tenant_id, "test": key.test, **values}, labels
