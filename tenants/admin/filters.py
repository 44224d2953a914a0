"""Filters of the panel's lists that more than one list uses."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin import BooleanFieldListFilter, ChoicesFieldListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

TEMPLATE = "tenants/filter.html"  # as unfold's, with the bare title as the heading


class ModeFilter(BooleanFieldListFilter):
    """Filter by the boolean column `test`, in the words "Live" and "Test"."""

    template = TEMPLATE

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "mode"

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield Django's choices "All", "Yes" and "No" as "All", "Test" and "Live"."""
        names = {"Yes": "Test", "No": "Live"}
        for choice in super().choices(changelist):
            yield {**choice, "display": names.get(str(choice["display"]), choice["display"])}


class ChoicesFilter(ChoicesFieldListFilter):
    """Filter by a column with choices, in sentence case: Django would write "In Doubt"."""

    template = TEMPLATE

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield Django's choices with their names in sentence case."""
        for choice in super().choices(changelist):
            yield {**choice, "display": str(choice["display"]).capitalize()}


class DaysFilter(RangeDateFilter):
    """Filter by a column of times: from a day to a day in UTC, both included. Either may be left out."""

    _is_named = False  # the message about a text that is no day is shown once, however often the rows are filtered

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "day"  # not the column's name

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of these days. A text that is no day is named in a message, and no row is listed."""
        for name, lookup, days in (("from", "gte", 0), ("to", "lt", 1)):
            text = self.used_parameters.get(f"{self.parameter_name}_{name}")
            if not text:
                continue
            if (day := parse_date_str(text)) is None:
                if not self._is_named:
                    messages.error(request, f"{text!r} is no day such as 2026-11-02.")
                self._is_named = True
                return rows.none()
            midnight = datetime.combine(day, time(), UTC) + timedelta(days=days)
            rows = rows.filter(self.condition(lookup, midnight))
        return rows

    def condition(self, lookup: str, midnight: datetime) -> Q:
        """Return the condition on rows from midnight on (`gte`), or before it (`lt`)."""
        return Q(**{f"{self.field_path}__{lookup}": midnight})
