"""The panel's forms: each asks for a reason and turns the operator's input into the arguments of one action."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold import widgets

from tenants import allowed_values, amounts
from tenants.admin.allow_lists import AllowListsForm
from tenants.admin.guards import UNGUARDED_FIELDS, OnceForm, StoredValuesForm, check_changes
from tenants.db import clock
from tenants.models import ApiKey, Limits, Tenant

LIMIT_FIELDS = [*Limits.COUNTS, "usd_per_month"]  # as the forms name the limits
MAX_INTEGER = 2**31 - 1  # PostgreSQL's integer
MAX_REASON_CHARS = 200  # the ledger's column
MAX_KEY_OVERLAP_HOURS = 720  # a month; a caller that needs two keys for longer gets two keys
DEFAULT_KEY_OVERLAP_HOURS = 24


class TextLineField(forms.CharField):
    """A text of one line, in the panel's widget."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=widgets.UnfoldAdminTextInputWidget, **options)


class WholeNumberField(forms.IntegerField):
    """A whole number, in the panel's widget."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=widgets.UnfoldAdminIntegerFieldWidget, **options)


class HoursField(WholeNumberField):
    """A whole number of hours; the field's value is a timedelta."""

    def clean(self, value: Any) -> Any:
        """Return the number of hours as a timedelta."""
        return timedelta(hours=super().clean(value))


class UsdField(forms.DecimalField):
    """An amount in US dollars, exact to the millionth."""

    def __init__(self, **options: Any) -> None:
        # A billion USD at most: far below the sum of micro-USD that no longer fits 64 bits.
        widget = widgets.UnfoldAdminDecimalFieldWidget(attrs={"step": "any"})
        super().__init__(max_digits=15, decimal_places=6, widget=widget, **options)


def optional_number(help_text: str, *, minimum: int = 0, maximum: int = MAX_INTEGER, label: str = "") -> Any:
    """Return a field for a whole number that may be empty."""
    return WholeNumberField(
        required=False, min_value=minimum, max_value=maximum, help_text=help_text, label=label or None
    )


class ReasonForm(OnceForm):
    """A form that asks for the reason of an action, and acts once."""

    reason = TextLineField(max_length=MAX_REASON_CHARS, help_text="Recorded in the audit log.")

    def arguments(self) -> dict[str, Any]:
        """Return the action's keyword arguments; the actor, the reason and the row are not among them."""
        return {name: value for name, value in self.cleaned_data.items() if name not in UNGUARDED_FIELDS}


class LimitsForm(forms.Form):
    """The six limits of a tenant or of a key."""

    requests_per_minute = optional_number("Create requests per minute.")
    in_flight = optional_number("Generations in progress at the same time.")
    per_day = optional_number("Generations per day.")
    per_month = optional_number("Generations per month.")
    seconds_per_month = optional_number("Seconds of video per month.")
    usd_per_month = UsdField(required=False, min_value=0, label="USD per month", help_text="US dollars per month.")

    def limits(self) -> dict[str, int | None]:
        """Return the limits by column name, as `tenants.actions` takes them. None means no limit."""
        usd = self.cleaned_data["usd_per_month"]
        counts = {name: self.cleaned_data[name] for name in Limits.COUNTS}
        return {**counts, "usd_per_month_micro": None if usd is None else int(usd * amounts.MICRO_PER_USD)}


class TenantForm(StoredValuesForm, AllowListsForm, LimitsForm, ReasonForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Create or change a tenant."""

    refusal: ClassVar[str] = ""  # why `tenants.actions` refused this request's first attempt

    submit_deadline = optional_number(
        "How long a generation waits while the upstream accepts no submits. Empty: SUBMIT_DEADLINE.",
        label="Submit deadline (seconds)",
        minimum=1,
        maximum=allowed_values.MAX_SUBMIT_DEADLINE_SECONDS,
    )
    video_days = optional_number(
        "How long videos are stored. 0: without end. Empty: VIDEO_DAYS.",
        label="Video retention (days)",
        maximum=allowed_values.MAX_RETENTION_DAYS,
    )
    input_days = optional_number(
        "How long input images are stored after their last use. 0: without end. Empty: INPUT_DAYS.",
        label="Input image retention (days)",
        maximum=allowed_values.MAX_RETENTION_DAYS,
    )

    class Meta:
        model = Tenant
        fields = ["name", "time_zone", *Tenant.GENERATION_POLICY_FIELDS, *Tenant.ALLOW_LISTS]
        labels: ClassVar = {"on_doubt": "In doubt"}
        help_texts: ClassVar = {
            "time_zone": "The tenant's days and months begin in this time zone.",
            "on_doubt": "What happens to a generation whose submit may or may not have been paid for.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial = {**initial_limits(self.instance), **self.initial}
        self.listed_models = self.instance.allowed_models
        if "on_doubt" in self.fields:  # not in the form of a user who may only view
            self.fields["on_doubt"].choices = ON_DOUBT_CHOICES  # type: ignore[attr-defined]

    def clean(self) -> None:
        """Refuse a form that changes nothing, would overwrite others' changes, or was refused by `tenants.actions`."""
        if self.refusal:
            raise ValidationError(self.refusal)
        if self.instance.pk:
            self.check_loaded()
            check_changes(self)

    def arguments(self) -> dict[str, Any]:
        """Return the tenant's name, time zone, generation policy, limits and lists."""
        names = ("name", "time_zone", *Tenant.GENERATION_POLICY_FIELDS)
        return {name: self.cleaned_data[name] for name in names} | self.limits() | self.allow_lists()


ON_DOUBT_CHOICES = [
    (Tenant.OnDoubt.HOLD, "Hold: an operator resolves it"),
    (Tenant.OnDoubt.FAIL, "Fail: at once, with the hold released"),
    (Tenant.OnDoubt.RESUBMIT, "Resubmit: once more, which may pay twice"),
]


class ActionForm(ReasonForm):
    """The form of an action on a row; the reason is the last field."""

    def __init__(self, *args: Any, row: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.row = row
        self.order_fields([name for name in self.fields if name != "reason"])


class AdjustForm(ActionForm):
    """An amount to add to this month's bill."""

    usd = UsdField(label="USD", help_text="Added to this month's bill and usage. A credit is negative.")

    def arguments(self) -> dict[str, Any]:
        """Return the amount in micro-USD."""
        return {"amount_micro": int(self.cleaned_data["usd"] * amounts.MICRO_PER_USD)}


class KeyForm(AllowListsForm, LimitsForm, ActionForm):
    """The fields of a key that can be changed: the label, and the key's limits and lists."""

    label = TextLineField(required=False, max_length=100)

    field_order = ["label"]

    def arguments(self) -> dict[str, Any]:
        """Return the label, the limits and the lists."""
        return {"label": self.cleaned_data["label"], **self.limits(), **self.allow_lists()}


class ChangeKeyForm(StoredValuesForm, KeyForm):
    """Change a key; the form starts with the key's present values."""

    def __init__(self, *args: Any, row: ApiKey, **options: Any) -> None:
        initial = {"label": row.label, **initial_limits(row), **row.allow_lists}
        super().__init__(*args, row=row, initial=initial, **options)
        self.listed_models = row.allowed_models

    def clean(self) -> None:
        """Refuse a form that changes nothing, or would overwrite what others changed."""
        self.check_loaded()
        check_changes(self)


class CreateKeyForm(KeyForm):
    """Create a key."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in ApiKey.Scope.values],
        initial=ApiKey.Scope.values,
        help_text="What the key may do.",
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
    )
    expires_at = forms.DateTimeField(
        required=False,
        help_text="In UTC. Empty: the key does not expire.",
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    test = forms.BooleanField(
        required=False,
        label="Test key",
        help_text="Generations of a test key go to the sandbox and cost nothing.",
        widget=widgets.UnfoldBooleanWidget,
    )

    field_order = ["label", "scopes", "expires_at", "test"]

    def clean_expires_at(self) -> datetime | None:
        """Return the time of expiry. Raise ValidationError if the time is in the past."""
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= clock.now():
            raise ValidationError("The time is in the past.")
        return expires_at

    def arguments(self) -> dict[str, Any]:
        """Return the new key's label, scopes, expiry, mode, limits and lists."""
        values = {name: self.cleaned_data[name] for name in ("label", "scopes", "expires_at", "test")}
        return {**values, "limits": self.limits(), "allow_lists": self.allow_lists()}


class RollForm(ActionForm):
    """How long the old key stays valid beside the new key."""

    overlap = HoursField(
        label="Overlap in hours",
        initial=DEFAULT_KEY_OVERLAP_HOURS,
        min_value=0,
        max_value=MAX_KEY_OVERLAP_HOURS,
        help_text="How long the old key stays valid, at most.",
    )


def initial_limits(holder: Limits) -> dict[str, Any]:
    """Return the limits of a tenant or a key as a form's initial values, with the amount in USD."""
    micro = holder.usd_per_month_micro
    usd = None if micro is None else Decimal(amounts.format_usd(micro))
    return {**{name: getattr(holder, name) for name in Limits.COUNTS}, "usd_per_month": usd}
