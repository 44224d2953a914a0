"""Check a request by its model's row, under /v1/ or on the upstream's wire, and refuse what the model does not take.

A value that is null counts as not given. Every field of the model has a value in the result: the request's, the row's
default, or None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from generations.catalog.model_file import DerivedRow, RuleRow
from generations.catalog.request_fields import ABSENT, RequestField, WrongValue, read_path
from generations.catalog.video_models import VideoModel

Values = dict[str, Any]  # by the fields' names under /v1/


@dataclass(frozen=True)
class FieldError:
    """An error of one field of a request."""

    message: str  # names the model, the field, and what it takes
    code: str


class BadRequest(Exception):
    """A request that its model does not take. `errors` has the errors by field, as the caller writes the names."""

    def __init__(self, errors: Mapping[str, FieldError]) -> None:
        super().__init__(" ".join(error.message for error in errors.values()))
        self.errors = errors


class Checker:
    """A check of one request, with the names that its caller uses."""

    def __init__(self, model: VideoModel, *, on_wire: bool) -> None:
        self._model, self._on_wire = model, on_wire
        self._errors: dict[str, FieldError] = {}

    def refuse(self, name: str, sentence: str, code: str = "invalid") -> None:
        """Note an error of a field. `sentence` begins after the words "For <model>, "."""
        self._errors.setdefault(name, FieldError(f"For {self._model}, {sentence}", code))

    def name(self, field: RequestField) -> str:
        """Return the field's name as the caller writes it."""
        return ".".join(field.path) if self._on_wire and field.path else field.name

    def check(self, given: Mapping[str, Any]) -> Values:
        """Return all values. `given` has the names of /v1/. Raise BadRequest."""
        values: Values = {}
        for name, field in self._model.fields.items():
            value = given.get(name)
            values[name] = field.default if value is None else self._checked(field, value)
            if value is None and field.is_required:
                takes = field.takes(on_wire=self._on_wire)
                self.refuse(self.name(field), f"{self.name(field)} is required, and must be {takes}.", "required")
        for rule in self._model.row.rules if not self._errors else ():
            self._apply(rule, given, values)
        self.raise_errors()
        return values

    def raise_errors(self) -> None:
        """Raise BadRequest if an error was noted."""
        if self._errors:
            raise BadRequest(self._errors)

    def _checked(self, field: RequestField, value: Any) -> Any:
        try:
            return field.check(value, on_wire=self._on_wire)
        except WrongValue as error:
            name = self.name(field)
            self.refuse(name, f"{name} {error}.", error.code)
            return None

    def _apply(self, rule: RuleRow, given: Mapping[str, Any], values: Values) -> None:
        """Note what a request lacks to follow the rule. A forbidden field has no value then."""
        if not applies(rule, given, values):
            return
        because, fields = self._condition(rule, values), self._model.fields
        for name in rule.then.forbid:
            if given.get(name) is not None:
                self.refuse(self.name(fields[name]), f"{self.name(fields[name])} is not taken {because}.")
            values[name] = None
        for name in rule.then.require:
            if given.get(name) in (None, ""):  # an empty text says as much as none
                self.refuse(self.name(fields[name]), f"{self.name(fields[name])} is required {because}.", "required")
        for name, choices in rule.then.enum.items():
            if not contains(choices, values[name]):
                written = [fields[name].to_wire(value) if self._on_wire else value for value in choices]
                takes = f"one of {', '.join(map(str, written))}"
                self.refuse(
                    self.name(fields[name]), f"{self.name(fields[name])} must be {takes} {because}.", "invalid_choice"
                )

    def _condition(self, rule: RuleRow, values: Values) -> str:
        """Return the rule's condition as text: "where resolution is 1080p"."""
        fields = self._model.fields
        parts = []
        for name in rule.if_:
            value = fields[name].to_wire(values[name]) if self._on_wire else values[name]
            parts.append(f"{self.name(fields[name])} is {str(value).lower() if isinstance(value, bool) else value}")
        parts += [f"{self.name(fields[name])} is given" for name in rule.if_given]
        parts += [f"{self.name(fields[name])} is not given" for name in rule.if_absent]
        return f"where {' and '.join(parts)}"


def contains(listed: Iterable[Any], value: Any) -> bool:
    """Return whether the value is among those listed. True is not 1."""
    return any(choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in listed)


def applies(rule: RuleRow, given: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Return whether a rule applies to a request: `given` is what it says, `values` has the defaults too."""
    has_values = all(contains(choices, values[name]) for name, choices in condition_values(rule).items())
    is_given = all(given.get(name) is not None for name in rule.if_given)
    return has_values and is_given and all(given.get(name) is None for name in rule.if_absent)


def condition_values(rule: RuleRow) -> dict[str, tuple[Any, ...]]:
    """Return the values by field of which a request must have one for the rule to apply."""
    return {name: value if isinstance(value, tuple) else (value,) for name, value in rule.if_.items()}


def check(model: VideoModel, given: Mapping[str, Any]) -> Values:
    """Return all values of a request under /v1/, defaults included. Raise BadRequest, also for an unknown field."""
    checker = Checker(model, on_wire=False)
    fields = f" The fields of this model are {', '.join(model.fields)}."  # once: many unknown names would repeat it
    for name in given:
        if name not in model.fields:
            checker.refuse(name, f"there is no field {name[:50]}.{fields}", "unknown")
            fields = ""
    checker.raise_errors()
    return checker.check(given)


def check_wire(model: VideoModel, body: Mapping[str, Any]) -> Values:
    """Return all values of a request on the upstream's wire, defaults included. Raise BadRequest.

    Unknown fields are ignored, as the upstream does. A field that the row forbids is refused.
    """
    checker = Checker(model, on_wire=True)
    given: Values = {}
    for field in model.row.fields:
        if field.presence == "forbidden" and body.get(field.name) is not None:
            checker.refuse(field.name, f"there is no field {field.name}.", "unknown")
    for name, request_field in model.fields.items():
        if request_field.path:
            value = _read(checker, body, request_field.path)
            given[name] = None if value is ABSENT else request_field.from_wire(value)
    for derived in model.row.derived:
        given |= _split(checker, derived, _read(checker, body, derived.wire.split(".")))
    checker.raise_errors()
    return checker.check(given)


def _read(checker: Checker, body: Mapping[str, Any], path: Iterable[str]) -> Any:
    """Return the value at a path, or ABSENT. Note an error where the path leads through what is no object."""
    *outer, last = path
    inner: Any = body
    for number, name in enumerate(outer, 1):
        inner = inner.get(name)
        if inner is None:
            return ABSENT
        if not isinstance(inner, Mapping):
            checker.refuse(".".join(outer[:number]), f"{'.'.join(outer[:number])} must be an object.")
            return ABSENT
    return read_path(inner, [last])


def _split(checker: Checker, derived: DerivedRow, value: Any) -> Values:
    """Return the two values that a derived value stands for; none of them if it is not given."""
    if value is ABSENT:
        return {}
    for first, row in derived.table.items():
        for second, wire_value in row.items():
            if type(wire_value) is type(value) and wire_value == value:
                return dict(zip(derived.from_, (first, second), strict=True))
    listed = ", ".join(str(wire_value) for row in derived.table.values() for wire_value in row.values())
    checker.refuse(derived.wire, f"{derived.wire} must be one of {listed}.", "invalid_choice")
    return {}
