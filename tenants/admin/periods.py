"""The periods to choose from on pages of the panel that show what happened up to now."""

from datetime import timedelta

from django.http import HttpRequest

DAY = timedelta(days=1)
PERIODS = {"24 hours": DAY, "48 hours": 2 * DAY, "7 days": 7 * DAY, "30 days": 30 * DAY}
DEFAULT = "48 hours"


def chosen(request: HttpRequest) -> str:
    """Return the name of the period that the query names, or the default."""
    name = request.GET.get("period", "")
    return name if name in PERIODS else DEFAULT
