"""By what the lists of generations are narrowed. Each filter is an index's, or leaves out few rows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from generations import ids
from generations.catalog import video_models
from generations.reports import backlog
from generations.webhooks import outbox

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
            "stalled": backlog.stalled_condition(now),
            "uncopied": backlog.COPY_RETRYING,
        }
        wanted = known.get(self.value() or "")
        # Among the rows that have not ended, of which there are few, and an index.
        return (
            rows.alias(rendering_since=backlog.rendering_since()).filter(wanted, due_at__isnull=False)
            if wanted
            else rows
        )


class Created(SimpleListFilter):
    title, parameter_name = "created within", "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"The last {name}") for name in SINCE]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        span = SINCE.get(self.value() or "")
        return rows.filter(pk__gte=ids.floor(timezone.now() - span)) if span else rows


class OfTheCode(SimpleListFilter):
    """The values of a column, as the code knows them: asking the rows which there are would read them all."""

    parameter_name: str  # the column's name too
    values: Sequence[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name: self.value()}) if self.value() else rows


class Resolution(OfTheCode):
    title, parameter_name = "resolution", "resolution"
    values = sorted({name for model in video_models.MODELS.values() for name in model.resolutions}, key=len)


class EventType(OfTheCode):
    title, parameter_name = "type", "type"
    values = outbox.EVENT_TYPES
