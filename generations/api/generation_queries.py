"""The queries of the list of generations. Each filter has an index in the list's order: every page costs the same.

The ORM takes longer to build such a query than the database to answer it, so the text of each form is built once.
"""

from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import FilteredRelation, Q, QuerySet

from generations.api import pagination
from generations.api.pagination import NEWEST_FIRST, Position
from generations.intake.generation_request import IMAGE_FIELDS
from generations.models import Generation
from tenants.db.prepared_statements import Select
from tenants.models import ApiKey

MAX_FORMS = 500  # whose texts a process has at once
LOOKUPS = {"created_after": "created_at__gte", "created_before": "created_at__lt"}  # of times
# What no answer shows. An answer with one of these columns would send a query for each row.
NOT_SHOWN = (
    *("tenant", "api_key", "idempotency_key", "idempotency_digest", "traceparent", "webhook_format", "first_eta"),
    *("account", "wire", "upstream_id", "upstream_seed", "upstream_tokens", "upstream_shape", "offer_rate_micro"),
    *("due_at", "fencing_token", "consecutive_failures", "resumed_at", "outage_since", "outage_time"),
    *("unusable_files", "purged_at"),
    *(f"{image}__{name}" for image in IMAGE_FIELDS for name in ("tenant", "key", "created_at", "gone_at")),
)
# The values of a query while its text is built. Each is another, so that each has its place in the text.
EXAMPLES: dict[str, Any] = {
    "tenant": -1,
    "test": True,
    "status": "the status",
    "model": "the model",
    "seed": -2,
    "external_id": "the external id",
    "key": "the key",
    "created_after": datetime(2001, 1, 1, 0, 0, 0, 1, UTC),
    "created_before": datetime(2002, 1, 1, 0, 0, 0, 1, UTC),
    "time": datetime(2003, 1, 1, 0, 0, 0, 1, UTC),
    "id": UUID(int=1),
}


class Form(NamedTuple):
    """The names of a query's values. All queries of one form have one text."""

    names: tuple[str, ...]  # of EXAMPLES
    labels: tuple[bool, ...]  # for each label, whether it has a value beside its name
    rows: int | None  # None: all

    @property
    def has_one_plan(self) -> bool:
        """Return whether one plan is right for all values. Of two conditions the rarer one should be looked up first,
        which depends on the values.
        """
        return len({*self.names} - {"tenant", "test", "time", "id"}) + len(self.labels) <= 1


def read(
    values: dict[str, Any], labels: list[tuple[str, ...]], rows: int, position: Position | None
) -> list[Generation]:
    """Return up to that many generations, the newest first, from behind the position on.

    `values` has the tenant, the mode (`test`) and the values of filters. `labels` has a name and a value each, or a
    name alone.
    """
    form, flat = _form(values, labels, rows, position)
    return list(_select(form)(*flat))


def build(
    values: dict[str, Any], labels: list[tuple[str, ...]], rows: int | None, position: Position | None = None
) -> QuerySet[Generation]:
    """Return the query whose rows `read` returns."""
    form, flat = _form(values, labels, rows, position)
    return _build(form, *flat)


def _form(
    values: dict[str, Any], labels: list[tuple[str, ...]], rows: int | None, position: Position | None
) -> tuple[Form, list[Any]]:
    """Return the form of a query, and its values in the form's order."""
    named = {**values, **dict(zip(("time", "id"), position or (), strict=False))}
    form = Form(tuple(named), tuple(len(label) > 1 for label in labels), rows)
    return form, [*named.values(), *(text for label in labels for text in label)]


@lru_cache(MAX_FORMS)
def _select(form: Form) -> Select:
    labels = [f"{part} {number}" for number, has_value in enumerate(form.labels) for part in _parts(has_value)]
    examples = [*(EXAMPLES[name] for name in form.names), *labels]
    return Select(partial(_build, form), *examples, has_one_plan=form.has_one_plan)


def _parts(has_value: bool) -> tuple[str, ...]:
    """Return the columns of a label that a filter compares."""
    return ("name", "value") if has_value else ("name",)


def _build(form: Form, *flat: Any) -> QuerySet[Generation]:
    """Return the query with these values. If it has labels, the index of the first one has the order of the list."""
    values, texts = dict(zip(form.names, flat, strict=False)), iter(flat[len(form.names) :])
    labels = {
        f"label_{number}": Q(**{f"labels__{part}": next(texts) for part in _parts(has_value)})
        for number, has_value in enumerate(form.labels)
    }
    prefix, order = ("label_0__", ("label_0__created_at", "label_0__generation_id")) if labels else ("", NEWEST_FIRST)
    conditions = {f"{name}__isnull": False for name in labels} | _own_columns(values)
    # `test__in`, since SQLite uses no index for `NOT test`.
    conditions |= {f"{prefix}tenant": values["tenant"], f"{prefix}test__in": [values["test"]]}
    conditions |= {f"{prefix}{lookup}": values[name] for name, lookup in LOOKUPS.items() if name in values}
    behind = pagination.after(order, values["time"], values["id"]) if "id" in values else Q()
    rows = Generation.objects.select_related(*IMAGE_FIELDS).defer(*NOT_SHOWN)
    rows = rows.annotate(**{name: FilteredRelation("labels", condition=label) for name, label in labels.items()})
    rows = rows.filter(behind, **conditions)  # at once: the ORM joins a label once more at each call
    if "external_id" in values:
        rows = rows.exclude(external_id="")  # the index's own condition, or SQLite does not see that it holds
    return rows.order_by(*(f"-{name}" for name in order))[: form.rows]


def _own_columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return the conditions on columns that labels have not."""
    conditions: dict[str, Any] = {
        name: values[name] for name in ("status", "model", "seed", "external_id") if name in values
    }
    if "key" in values:  # its id is looked up in the same statement
        keys = ApiKey.objects.filter(tenant=values["tenant"], prefix=values["key"])
        conditions["api_key"] = keys.values("pk")[:1]
    return conditions
