"""The JSON Schema (draft 2020-12) of a model's create body under /v1/: exactly what a create takes.

It says all but what is not in the body: the bytes of images, limits, and the state of the model.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generations.catalog import request_check
from generations.catalog.model_file import RuleRow
from generations.catalog.request_fields import RequestField
from generations.catalog.video_models import DEFAULT_ID, VideoModel

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NULL: Schema = {"type": "null"}


def create_body(model: VideoModel, common: Mapping[str, Schema]) -> Schema:
    """Return the schema of the body of a create of the model.

    `common` has the schemas of the fields that every model's create has besides `model`. None of them is required.
    """
    is_default = model.id == DEFAULT_ID
    name: Schema = {"enum": [model.id, None]} if is_default else {"const": model.id}
    required = [field.name for field in model.fields.values() if field.is_required]
    rules = list(_rules(model))
    return {
        "$schema": DRAFT,
        "title": model.row.title,
        "type": "object",
        "properties": {
            "model": name,
            **{field.name: field.json_schema() for field in model.fields.values()},
            **common,
        },
        "required": [*([] if is_default else ["model"]), *required],
        "additionalProperties": False,
        **({"allOf": rules} if rules else {}),
    }


def _rules(model: VideoModel) -> Iterator[Schema]:
    """Yield an if and then for each rule, in the order in which `request_check.Checker` applies them."""
    before: list[RuleRow] = []
    for rule in model.row.rules:
        then = [*_consequences(model, rule)]
        # A field that a rule forbids has no value, so it has none of those that are listed.
        then += [
            {"not": _condition(model, rule_before, before[: before.index(rule_before)])}
            for rule_before in before
            if not rule.then.enum.keys().isdisjoint(rule_before.then.forbid)
        ]
        if not rule.then.enum.keys().isdisjoint(rule.then.forbid):
            then.append({"not": {}})
        yield {"if": _condition(model, rule, before), "then": _all_of(then)}
        before.append(rule)


def _condition(model: VideoModel, rule: RuleRow, before: list[RuleRow]) -> Schema:
    """Return the schema of the bodies to which a rule applies, after the rules before it.

    A rule before takes the default away from a field that it forbids.
    """
    parts = [_has_one_of(model.fields[name], values) for name, values in request_check.condition_values(rule).items()]
    parts += [_given(name) for name in rule.if_given]
    parts += [{"properties": {name: NULL}} for name in rule.if_absent]
    parts += [
        {"not": _condition(model, rule_before, before[:number])}
        for number, rule_before in enumerate(before)
        if not rule.if_.keys().isdisjoint(rule_before.then.forbid)
    ]
    return _all_of(parts)


def _consequences(model: VideoModel, rule: RuleRow) -> Iterator[Schema]:
    """Yield the schemas of what a rule asks of the bodies to which it applies."""
    for name in rule.then.forbid:
        yield {"properties": {name: NULL}}
    for name in rule.then.require:
        yield _given(name, {"minLength": 1})
    for name, values in rule.then.enum.items():
        yield _has_one_of(model.fields[name], values)


def _has_one_of(field: RequestField, values: Iterable[Any]) -> Schema:
    """Return the schema of the bodies in which a field has one of these values: its own, or its default."""
    choices = list(values)
    if request_check.contains(choices, field.default):
        return {"properties": {field.name: {"enum": [*choices, None]}}}
    return {"properties": {field.name: {"enum": choices}}, "required": [field.name]}


def _given(name: str, more: Schema | None = None) -> Schema:
    """Return the schema of the bodies that have a value of a field, of which `more` is asked too."""
    return {"properties": {name: {"not": NULL, **(more or {})}}, "required": [name]}


def _all_of(parts: list[Schema]) -> Schema:
    """Return the schema of what fits every part."""
    return parts[0] if len(parts) == 1 else {"allOf": parts}
