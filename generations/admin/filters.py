"""By what the lists of generations are narrowed. Each filter is an index's, or leaves out few rows."""

from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from generations import backlog, catalog, deliveries, ids

DAY = timedelta(days=1)
SINCE = {"hour": DAY / 24, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


class Mode(SimpleListFilter):
    """Live generations unless asked otherwise: a team's CI would bury them."""

    title, parameter_name = "mode", "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("test", "Test"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        options = [(None, "Live"), *self.lookup_choices]
        for value, label in options:
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        return rows if self.value() == "all" else rows.filter(test=self.value() == "test")


class Attention(SimpleListFilter):
    """What waits for a person, or for too long."""

    title, parameter_name = "attention", "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Not ended"), ("due", "Due now"), ("stalled", "Stalled"), ("uncopied", "Uncopied")]

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        now = timezone.now()
        known = {
            "live": Q(due_at__isnull=False),
            "due": Q(due_at__lte=now),
            "stalled": backlog.stalled(now),
            "uncopied": backlog.UNCOPIED,
        }
        wanted = known.get(self.value() or "")
        # Among the rows that have not ended, of which there are few, and an index.
        return rows.alias(since=backlog.since()).filter(wanted, due_at__isnull=False) if wanted else rows


class Created(SimpleListFilter):
    title, parameter_name = "created within", "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"The last {name}") for name in SINCE]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        span = SINCE.get(self.value() or "")
        return rows.filter(pk__gte=ids.floor(timezone.now() - span)) if span else rows


class Resolution(SimpleListFilter):
    """Those of the catalog: asking the rows which there are would read them all."""

    title, parameter_name = "resolution", "resolution"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = {resolution for model in catalog.MODELS.values() for resolution in model.resolutions}
        return [(resolution, resolution) for resolution in sorted(known, key=len)]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(resolution=self.value()) if self.value() else rows


class EventType(SimpleListFilter):
    """Of a delivery; asked of the code, for the same reason."""

    title, parameter_name = "type", "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in deliveries.TYPES]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(type=self.value()) if self.value() else rows
