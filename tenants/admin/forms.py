"""The panel's forms: each asks why, and turns what was typed into the arguments of one act."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone
from unfold import widgets

from tenants import actions, amounts
from tenants.models import ApiKey, Limits, Tenant

LIMITS = [*Limits.COUNTS, "usd_per_month"]  # as the forms name them
MOST = 2**31 - 1  # what PostgreSQL's integer holds


def help_of(model: type[Model], name: str) -> str:
    """What the model says of its field."""
    return str(getattr(model._meta.get_field(name), "help_text", ""))


class Line(forms.CharField):
    """A text of one line, in the panel's widget."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=widgets.UnfoldAdminTextInputWidget, **options)


class Whole(forms.IntegerField):
    """A whole number, in the panel's widget."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=widgets.UnfoldAdminIntegerFieldWidget, **options)


class Hours(Whole):
    """A number of hours, 0 or more; its value is a timedelta."""

    def clean(self, value: Any) -> Any:
        return timedelta(hours=super().clean(value))


def optional(model: type[Model], name: str, *, least: int = 0, most: int = MOST) -> Whole:
    """Return the field of a column that may be empty, with what the model says of it."""
    return Whole(required=False, min_value=least, max_value=most, help_text=help_of(model, name))


class Usd(forms.DecimalField):
    """US dollars, exact to the millionth."""

    def __init__(self, **options: Any) -> None:
        # A billion USD at most: far from where a sum of micro-USD no longer fits 64 bits.
        widget = widgets.UnfoldAdminDecimalFieldWidget(attrs={"step": "any"})
        super().__init__(max_digits=15, decimal_places=6, widget=widget, **options)


class ReasonForm(forms.Form):
    """Every act asks why."""

    reason = Line(max_length=200, help_text="Why, for the audit log.")  # as much as the ledger keeps

    def facts(self) -> dict[str, Any]:
        """What the act takes besides who does it, why, and to whom."""
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}


class LimitsForm(forms.Form):
    """The six limits, of a tenant or of a key."""

    requests_per_minute = optional(Limits, "requests_per_minute")
    in_flight = optional(Limits, "in_flight")
    per_day = optional(Limits, "per_day")
    per_month = optional(Limits, "per_month")
    seconds_per_month = optional(Limits, "seconds_per_month")
    usd_per_month = Usd(required=False, min_value=0, label="USD per month", help_text="US dollars a month.")

    def limits(self) -> dict[str, int | None]:
        """As `administration` takes them: None is no limit."""
        usd = self.cleaned_data["usd_per_month"]
        counts = {name: self.cleaned_data[name] for name in Limits.COUNTS}
        return {**counts, "usd_per_month_micro": None if usd is None else int(usd * amounts.MICRO_PER_USD)}


class TenantForm(LimitsForm, ReasonForm, forms.ModelForm):  # type: ignore[type-arg]  # it takes none as it runs
    """Make or change a tenant."""

    refused: ClassVar[str] = ""  # what administration said to the same request, a moment ago

    submit_deadline = optional(Tenant, "submit_deadline", least=1, most=actions.MAX_SUBMIT_DEADLINE_SECONDS)
    video_days = optional(Tenant, "video_days", most=actions.MAX_RETENTION_DAYS)
    input_days = optional(Tenant, "input_days", most=actions.MAX_RETENTION_DAYS)

    class Meta:
        model = Tenant
        fields = ["name", "time_zone", *Tenant.GENERATION_POLICY_FIELDS]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial = {**shown_limits(self.instance), **self.initial}

    def clean(self) -> None:
        if self.refused:
            raise ValidationError(self.refused)
        if self.instance.pk:
            check_changes(self)

    def facts(self) -> dict[str, Any]:
        return {
            name: self.cleaned_data[name] for name in ("name", "time_zone", *Tenant.GENERATION_POLICY_FIELDS)
        } | self.limits()


class ActForm(ReasonForm):
    """An act on a row that is there; its reason is asked last."""

    def __init__(self, *args: Any, row: Model | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.row = row
        self.order_fields([name for name in self.fields if name != "reason"])


class AdjustForm(ActForm):
    """An amount on this month's bill."""

    usd = Usd(label="USD", help_text="On this month's bill and budget; a credit is negative.")

    def facts(self) -> dict[str, Any]:
        return {"amount_micro": int(self.cleaned_data["usd"] * amounts.MICRO_PER_USD)}


class KeyForm(LimitsForm, ActForm):
    """What may be changed of a key: its label and its own limits."""

    label = Line(required=False, max_length=100)

    field_order = ["label"]

    def facts(self) -> dict[str, Any]:
        return {"label": self.cleaned_data["label"], **self.limits()}


class ChangeKeyForm(KeyForm):
    """Starts from what the key has."""

    def __init__(self, *args: Any, row: ApiKey, **options: Any) -> None:
        super().__init__(*args, row=row, initial={"label": row.label, **shown_limits(row)}, **options)

    def clean(self) -> None:
        check_changes(self)


class MintForm(KeyForm):
    """A new key."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in ApiKey.Scope.values],
        initial=ApiKey.Scope.values,
        help_text=help_of(ApiKey, "scopes"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
    )
    expires_at = forms.DateTimeField(
        required=False,
        help_text="In UTC; empty: never.",
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    test = forms.BooleanField(
        required=False,
        help_text=help_of(ApiKey, "test"),
        widget=widgets.UnfoldBooleanWidget,
    )

    field_order = ["label", "scopes", "expires_at", "test"]

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise ValidationError("That is over already.")
        return expires_at

    def facts(self) -> dict[str, Any]:
        given = {name: self.cleaned_data[name] for name in ("label", "scopes", "expires_at", "test")}
        return {**given, "limits": self.limits()}


class RollForm(ActForm):
    """How long the old key stays good beside the new one."""

    overlap = Hours(
        label="Overlap in hours",
        initial=24,
        min_value=0,
        max_value=720,  # a month: who needs longer has not two keys but a second caller
        help_text="How long the old key stays good, at most.",
    )


def shown_limits(holder: Limits) -> dict[str, Any]:
    """A holder's limits as a form shows them."""
    micro = holder.usd_per_month_micro
    usd = None if micro is None else Decimal(amounts.format_usd(micro))
    return {**{name: getattr(holder, name) for name in Limits.COUNTS}, "usd_per_month": usd}


def check_changes(form: forms.BaseForm) -> None:
    """A reason without a change would leave no line in the audit log, and look as if it had."""
    if not set(form.changed_data) - {"reason"}:
        raise ValidationError("Nothing is changed.")
