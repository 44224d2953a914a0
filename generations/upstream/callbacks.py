"""The address that an upstream may post the state of a task to. It has the attempt's reference: no one can guess it."""

from django.conf import settings

PATH = "v1/upstream-callbacks/"


def url_for(reference: str) -> str:
    """Return the URL for the callbacks of an attempt; "" if the settings name no public address of the service."""
    base = settings.UPSTREAM_CALLBACK_URL
    return f"{base}/{PATH}{reference}" if base and reference else ""
