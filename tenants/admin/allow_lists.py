"""The form fields of the models and networks that a tenant or a key is allowed."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold import widgets

from tenants import allowed_values, name_lists
from tenants.errors import NotPossible

MAX_LIST_CHARS = 12_000  # a hundred items of a hundred characters, with what separates them
ROWS = 3  # of the text area


class NamesField(forms.CharField):
    """A list of names, written one a line or separated by commas; the field's value is a list."""

    def __init__(self, **options: Any) -> None:
        widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": ROWS})
        super().__init__(required=False, max_length=MAX_LIST_CHARS, widget=widget, **options)

    def to_python(self, value: Any) -> Any:
        """Return the list of a text; a list as it is."""
        return value if isinstance(value, list) else name_lists.split(super().to_python(value) or "")

    def run_validators(self, value: Any) -> None:
        """Check the length of the list's text."""
        super().run_validators(self.prepare_value(value))

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a list, one name a line; a text as it is."""
        return "\n".join(value) if isinstance(value, list) else value


class AllowListsForm(forms.Form):
    """The models that may be used, and the networks from which."""

    listed_models: Collection[str] = ()  # on the stored list; they are allowed even if the catalogue has them no more

    allowed_models = NamesField(
        label="Allowed models", help_text="Ids of models, one a line or separated by commas. Empty: all models."
    )
    allowed_networks = NamesField(
        label="Allowed networks",
        help_text="Networks such as 192.0.2.0/24 or 2001:db8::/32, or single addresses, one a line or separated by "
        "commas. Requests with a key from elsewhere are refused. Empty: all networks.",
    )

    def clean_allowed_models(self) -> list[str]:
        """Return the ids. Raise ValidationError for an unknown one."""
        return _checked(allowed_values.check_models, self.cleaned_data["allowed_models"], self.listed_models)

    def clean_allowed_networks(self) -> list[str]:
        """Return the networks as they are stored. Raise ValidationError for a text that is none."""
        return _checked(allowed_values.check_networks, self.cleaned_data["allowed_networks"])

    def allow_lists(self) -> dict[str, list[str]]:
        """Return both lists by column name, as `tenants.actions` takes them."""
        return {name: self.cleaned_data[name] for name in ("allowed_models", "allowed_networks")}


def _checked(check: Callable[..., list[str]], names: Sequence[str], *arguments: Any) -> list[str]:
    """Return the checked list. Raise ValidationError, which is shown at the field, where the check refuses."""
    try:
        return check(names, *arguments)
    except NotPossible as error:
        raise ValidationError(str(error)) from error
