"""Filters of the panel's lists of generations and deliveries. Each uses an index or excludes only a few rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from generations import ids
from generations.catalog import video_models
from generations.models import Generation
from generations.reports import backlog
from generations.reports.failures import count_failures
from generations.upstream import accounts
from generations.webhooks import outbox
from tenants.admin.filters import TEMPLATE, DaysFilter
from tenants.db import clock

DAY = timedelta(days=1)
MAX_COUNTED = 5000  # failures in the choices of a filter: some ten milliseconds
PERIODS = {"hour": DAY / 24, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


class LiveModeFilter(SimpleListFilter):
    """Filter by mode; without a choice only live rows are listed, since a team's CI would bury them."""

    template = TEMPLATE
    title, parameter_name = "mode", "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices beside the default."""
        return [("test", "Test"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the choices, with "Live" in the place of Django's "All"."""
        options = [(None, "Live"), *self.lookup_choices]
        for value, label in options:
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        """Return the rows of the chosen mode."""
        return rows if self.value() == "all" else rows.filter(test=self.value() == "test")


class AttentionFilter(SimpleListFilter):
    """Filter generations by what they need, how long they have waited, or what their video is or cost."""

    template = TEMPLATE
    title, parameter_name = "needs attention", "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        choices = [("live", "In progress"), ("due", "Due now"), ("stalled", "Stalled"), ("uncopied", "Copy retrying")]
        choices += [("copy-waiting", "Copy waiting")]
        return [*choices, ("differs", "Video not as requested"), ("charged-above", "Charged above the hold")]

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        """Return the rows that meet the chosen condition, or all rows without a choice."""
        if self.value() == "differs":
            return rows.filter(video_as_requested=False)
        if self.value() == "charged-above":
            return rows.filter(charged_micro__gt=F("price_micro"))
        now = clock.now()
        conditions = {
            "live": Q(due_at__isnull=False),
            "due": Q(due_at__lte=now),
            "stalled": backlog.stalled_condition(now),
            "uncopied": backlog.COPY_RETRYING,
            "copy-waiting": backlog.copy_waiting_condition(now),
        }
        condition = conditions.get(self.value() or "")
        if condition is None:
            return rows
        # Generations in progress are few, and a partial index holds them.
        return rows.alias(rendering_since=backlog.rendering_since()).filter(condition, due_at__isnull=False)


class CreatedFilter(SimpleListFilter):
    """Filter by the time of creation, from the last hour to the last month."""

    template = TEMPLATE
    title, parameter_name = "created in the last", "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(name, name.capitalize()) for name in PERIODS]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that were created in the chosen period, or all rows without a choice."""
        period = PERIODS.get(self.value() or "")
        return rows.filter(pk__gte=ids.smallest_at(clock.now() - period)) if period else rows


class CreatedDaysFilter(DaysFilter):
    """Filter generations by the days on which they were created: their ids begin with the time, and have the index."""

    def condition(self, lookup: str, midnight: datetime) -> Q:
        """Return the condition on the ids."""
        return Q(**{f"pk__{lookup}": ids.smallest_at(midnight)})


# The index of failures has their columns.
INDEXED_FILTERS = (LiveModeFilter, AutocompleteSelectFilter, CreatedFilter, CreatedDaysFilter)


class ErrorCodeFilter(SimpleListFilter):
    """Filter failed generations by error code. The choices are the codes under the list's other filters, with counts.

    No more than MAX_COUNTED failures of the chosen mode, tenant and time are read, so that the list costs the same
    among millions of rows.
    """

    template = TEMPLATE
    title, parameter_name = "error code", "error_code__exact"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self._request, self._model_admin = request, model_admin

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return no choices: what the other filters leave is known only when the choices are shown."""
        return []

    def has_output(self) -> bool:
        """Return True: the filter is shown without a failure too."""
        return True

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that failed with the chosen code, or all rows without a choice."""
        return rows.filter(status=Generation.Status.FAILED, error_code=self.value()) if self.value() else rows

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield "All", and each code with its count, the most frequent first."""
        counts, is_cut = self._count(changelist)
        more = f": counted among {MAX_COUNTED:,} failures, there are more" if is_cut else ""
        yield self._choice(changelist, None, f"All{more}")
        chosen = self.value()
        if chosen and chosen not in counts:
            counts[chosen] = 0
        for code, count in counts.items():
            yield self._choice(changelist, code, f"{code} ({count:,})")

    def _count(self, changelist: Any) -> tuple[dict[str, int], bool]:
        """Count the failures under the search and all filters but this one. Return also whether not all were read."""
        rows = candidates = changelist.root_queryset
        for spec in changelist.filter_specs:
            if spec is not self:
                rows = spec.queryset(self._request, rows)
            if isinstance(spec, INDEXED_FILTERS):
                candidates = spec.queryset(self._request, candidates)
        rows, _ = self._model_admin.get_search_results(self._request, rows, changelist.query)
        return count_failures(rows, candidates, MAX_COUNTED)

    def _choice(self, changelist: Any, code: str | None, label: str) -> dict[str, Any]:
        query = changelist.get_query_string({self.parameter_name: code} if code else {}, [self.parameter_name])
        return {"selected": self.value() == code, "query_string": query, "display": label}


class FixedValuesFilter(SimpleListFilter):
    """Filter by a column whose values the code knows: to query them from the rows would read every row."""

    template = TEMPLATE
    parameter_name: str  # also the column's name
    values: Sequence[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the chosen value, or all rows without a choice."""
        return rows.filter(**{self.parameter_name: self.value()}) if self.value() else rows


class ResolutionFilter(FixedValuesFilter):
    """Filter generations by resolution."""

    title, parameter_name = "resolution", "resolution"
    values = sorted(
        {str(name) for model in video_models.models().values() for name in model.supported("resolution")}, key=len
    )


class ModelFilter(FixedValuesFilter):
    """Filter generations by model."""

    title, parameter_name = "model", "model"
    values = sorted(video_models.models())


class AccountFilter(SimpleListFilter):
    """Filter generations by the upstream account that the last attempt went to."""

    template = TEMPLATE
    title, parameter_name = "account", "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(name, name) for name in accounts.names()]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that went to the chosen account, or all rows without a choice."""
        name = self.value()
        return rows.filter(Generation.at_account(name), submitted_at__isnull=False) if name else rows


class EventTypeFilter(FixedValuesFilter):
    """Filter deliveries by the type of their event."""

    title, parameter_name = "event", "type"
    values = outbox.EVENT_TYPES
