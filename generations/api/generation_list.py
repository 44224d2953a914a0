"""GET /v1/generations and its filters. Each filter has an index in the list's order: every page costs the same."""

import re
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from generations import single_line
from generations.api import fields, pagination, tenant_scope
from generations.api.fields import Choice, QueryInteger, SingleLine, Text, Timestamp
from generations.models import Generation, Label
from tenants.api.base import key_of
from tenants.models import ApiKey

BRACKETED = re.compile(r"metadata\[(.+)\]", re.DOTALL)
SAME_NAME = ("status", "model", "seed", "external_id")  # filters that have the name of their column
TIMES = {"created_after": "created_at__gte", "created_before": "created_at__lt"}
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


Filtered = tuple[QuerySet[Any], Sequence[str]]  # generations, or labels of them, and the columns of the list's order


def load_page(request: Request) -> pagination.Page[Generation]:
    """Return the page of the caller's generations that the query asks for. Raise ValidationError."""
    filters = fields.validate(Filters, request.query_params)
    current = pagination.load_page(request, *filter_rows(request, filters), filters["limit"], filters.get("cursor"))
    return current._replace(rows=[row.generation if isinstance(row, Label) else row for row in current.rows])


def filter_rows(request: Request, filters: dict[str, Any]) -> Filtered:
    """Return the caller's rows that pass the checked filters, with the columns of their order."""
    conditions = {name: filters[name] for name in SAME_NAME if name in filters}
    times = {lookup: filters[name] for name, lookup in TIMES.items() if name in filters}
    if "key" in filters:
        conditions["api_key"] = _key_id(request, filters["key"])
    labels = [{"name": name, "value": value} for name, value in filters["metadata"]]
    labels += [{"name": filters["metadata_key"]}] if "metadata_key" in filters else []
    if labels:
        return _filter_labels(request, labels, times, conditions)
    rows = tenant_scope.own_rows(request).filter(**conditions, **times)
    if "external_id" in conditions:
        rows = rows.exclude(external_id="")  # the index's own condition, or SQLite does not see that it holds
    return rows, pagination.NEWEST_FIRST


def _key_id(request: Request, prefix: str) -> int:
    """Return the id of the tenant's key with this prefix, or 0, which is no row's id, if there is none."""
    key = key_of(request)
    return ApiKey.objects.filter(tenant=key.tenant_id, prefix=prefix).values_list("pk", flat=True).first() or 0


def _filter_labels(
    request: Request, labels: list[dict[str, str]], times: dict[str, Any], conditions: dict[str, Any]
) -> Filtered:
    """Return rows of labels instead of generations: an index has the labels in the list's order."""
    first, *others = labels
    of_generation = {f"generation__{name}": value for name, value in conditions.items()}
    rows = Label.objects.filter(**tenant_scope.in_scope(key_of(request)), **first, **times, **of_generation)
    for label in others:
        rows = rows.filter(**{f"generation__labels__{name}": value for name, value in label.items()})
    rows = rows.select_related("generation__image", "generation__last_image").defer("tenant", "test", "name", "value")
    return rows, ("created_at", "generation_id")
