"""What keeps a form of the panel from acting twice, and from overwriting what others saved.

A form carries a token of its own. The audit entry of its action stores the token, so the same form acts once: after a
double click, after "back" and another send, and on two hosts at once.

A form that changes stored values also carries the values that it was opened with. If others are stored by now, the form
is refused, and shows both.
"""

import json
import re
import secrets
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder

TOKEN_BYTES = 16
TOKEN = re.compile(r"[\w-]{22}", re.ASCII)  # their base64url
MAX_LOADED_CHARS = 20_000
UNGUARDED_FIELDS = ("reason", "form_token", "loaded")  # they hold no stored value
INCOMPLETE = "The form is incomplete: open its page again."
STALE = "Others saved changes after you opened this page. Nothing was saved. Send the form again to save yours."


class Stale(Exception):
    """Other values are stored than those that the form was opened with."""


def new_token() -> str:
    """Return the token of a form that is being opened."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def checked_token(text: str) -> str:
    """Return the token, or an empty string for a text that is no token."""
    return text if TOKEN.fullmatch(text) else ""


class HiddenField(forms.CharField):
    """A text that the form carries unseen. The form refuses an empty one itself: an error of this field is not seen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=forms.HiddenInput, **options)


class OnceForm(forms.Form):
    """A form that acts once."""

    form_token = HiddenField(initial=new_token)

    def clean_form_token(self) -> str:
        """Return the token. Refuse a form that comes without one."""
        token = checked_token(self.cleaned_data["form_token"])
        if not token:
            self.add_error(None, INCOMPLETE)
        return token


class StoredValuesForm(forms.Form):
    """A form that changes stored values. Its `clean` has to call `check_loaded`."""

    loaded = HiddenField(max_length=MAX_LOADED_CHARS)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["loaded"] = self.stored_values

    def stored_values(self) -> str:
        """Return the values that the fields have as stored, as JSON."""
        values = {}
        for name, field in self.fields.items():
            if name not in UNGUARDED_FIELDS and not field.disabled:
                values[name] = field.prepare_value(self.get_initial_for_field(field, name))
        return json.dumps(values, cls=DjangoJSONEncoder, sort_keys=True)

    def check_loaded(self) -> None:
        """Refuse the form if other values are stored by now than those that it was opened with.

        The form then keeps what the user has entered, and shows the stored values in the fields that the user has not
        touched. A field that both have set to the same value is no difference.
        """
        stored, loaded = self.stored_values(), self._loaded()
        if loaded is None or json.loads(stored) == loaded:
            return
        if differences := self._take_over(json.loads(stored), loaded):
            raise ValidationError([STALE, *differences])

    def raise_if_stale(self, locked: "StoredValuesForm") -> None:
        """Raise Stale if the row, read again under its lock, gives another form than this one was checked against."""
        if locked.stored_values() != self.stored_values():
            raise Stale

    def _loaded(self) -> dict[str, Any] | None:
        """Return the values that the form was opened with. Refuse a form that does not say so, and return None."""
        try:
            return dict(json.loads(self.cleaned_data.get("loaded", "")))
        except (TypeError, ValueError):
            self.add_error(None, INCOMPLETE)
            return None

    def _take_over(self, stored: dict[str, Any], loaded: dict[str, Any]) -> list[str]:
        """Put the stored values into the form where the user has changed nothing. Return what differs, in words."""
        data: Any = self.data
        self.data = data = data.copy()
        data[self.add_prefix("loaded")] = json.dumps(stored, sort_keys=True)
        differences = []
        for name, now in stored.items():
            before, field = loaded.get(name), self.fields[name]
            if now == before:
                continue
            entered = self[name].data
            if _has_changed(field, before, entered):
                if not _has_changed(field, now, entered):
                    continue  # both have saved the same
                yours = entered
            else:
                yours = before
                _put(data, self.add_prefix(name), now)
            label = field.label or name.replace("_", " ").capitalize()
            differences.append(f"{label}: yours is {_in_words(field, yours)}, stored is {_in_words(field, now)}.")
        return differences


def _has_changed(field: forms.Field, initial: Any, entered: Any) -> bool:
    """Return whether the user's input is another value than the initial one, which is as JSON has it."""
    return field.has_changed(initial if isinstance(initial, list) else field.to_python(initial), entered)


def _put(data: Any, name: str, value: Any) -> None:
    """Put a value into a form's data as a browser would send it."""
    data.pop(name, None)
    if isinstance(value, list):
        data.setlist(name, [str(item) for item in value])
    elif value is True:
        data[name] = "on"
    elif value is not None and value is not False:
        data[name] = str(value)


def _in_words(field: forms.Field, value: Any) -> str:
    """Return a field's value as the user knows it: choices by their names, and "empty" for none."""
    names = {str(getattr(key, "value", key)): str(name) for key, name in getattr(field, "choices", ())}
    items = value if isinstance(value, list) else [value]
    words = [names.get(str(item), str(item)) for item in items if item not in (None, "")]
    return ", ".join(words) or "empty"


def check_changes(form: forms.BaseForm) -> None:
    """Raise ValidationError if only the reason was filled in: no change would leave no audit entry."""
    if not set(form.changed_data) - set(UNGUARDED_FIELDS):
        raise ValidationError("No changes.")
