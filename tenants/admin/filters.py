"""Filters of the panel's lists that more than one list uses."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import BooleanFieldListFilter, ChoicesFieldListFilter

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
