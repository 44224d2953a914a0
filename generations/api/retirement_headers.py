"""The headers by which answers announce the end of a model, from the day of its announcement on.

`Deprecation` is RFC 9745's, `Sunset` RFC 8594's, and `Link` names the model that takes its place.
"""

from datetime import UTC, date, datetime, time

from django.urls import get_script_prefix
from django.utils.http import http_date

from generations.catalog import states
from generations.catalog.video_models import VideoModel
from tenants.db import clock


def headers(model: VideoModel) -> dict[str, str]:
    """Return the headers about the model's end. There are none for a model whose end is not announced.

    `Link` has the successor alone: a caller that has another Link joins both by a comma.
    """
    status = states.of(model)
    announced = status.announced_at
    if not (status.is_ending or status.is_retired) or (announced and announced > clock.now().astimezone(UTC).date()):
        return {}
    shown = {"Deprecation": f"@{_seconds(announced)}"} if announced else {}
    if status.retires_at:
        shown["Sunset"] = http_date(_seconds(status.retires_at))
    if status.replacement:
        shown["Link"] = f'<{get_script_prefix()}v1/models/{status.replacement}>; rel="successor-version"'
    return shown


def _seconds(day: date) -> int:
    """Return the start of the day in UTC, in seconds since 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp())
