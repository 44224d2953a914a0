"""The counters and histograms of a generation's processing, for Prometheus. They add up over a host's processes.

Count an occurrence only when it is certain: after the commit, or after the answer.
"""

from datetime import datetime
from functools import partial

from django.db import transaction
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from generations.telemetry import metric_files
from tenants.db import clock

if metric_files.FOLDER:
    identify = partial(metric_files.prepare, metric_files.FOLDER)
    values.ValueClass = values.MultiProcessValue(identify)  # type: ignore[no-untyped-call]

NAMESPACE = "seedance"
registry = CollectorRegistry()  # holds the names only; the values are in the files of all processes

# Upper bounds of the histograms' buckets, in seconds.
CREATE_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # 30 MB in Base64 take some seconds
SUBMIT_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)  # a submit takes 120 at most
LAG_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3.5, 5, 10, 30, 60)  # the worker loop reads due rows every 0.5
RENDERING_BUCKETS = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600, 14400, 86400)  # a day at most
COPY_BUCKETS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 270)  # a copy is aborted after 270
# Upper bounds in bytes: 100 kB to 500 MB.
SIZE_BUCKETS = tuple(10.0**power * digit for power in (5, 6, 7, 8) for digit in (1, 2, 5))


def mode(*, test: bool) -> str:
    """Return the value of the label `mode`."""
    return "test" if test else "live"


def observe_on_commit(histogram: Histogram, since: datetime | None) -> None:
    """Observe the seconds since that time, after the commit."""
    assert since is not None
    seconds = (clock.now() - since).total_seconds()
    transaction.on_commit(lambda: histogram.observe(seconds))


def _counter(name: str, description: str, *labels: str) -> Counter:
    """Register a counter."""
    return Counter(name, description, labels, namespace=NAMESPACE, registry=registry)


def _histogram(name: str, description: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    """Register a histogram."""
    return Histogram(name, description, labels, namespace=NAMESPACE, buckets=buckets, registry=registry)


ACCEPTED = _counter("accepted", "Accepted generations.", "mode", "model")
REFUSED = _counter("refused", "Refused creates, by the limit that was reached.", "limit")
LIMIT_WARNINGS = _counter(
    "limit_warnings", "Shares of a limit that a tenant or a key has used in a window, each once.", "limit", "percent"
)
SUBMITTED = _counter("submitted", "Paid POSTs to an upstream, counted at their start.", "mode", "model", "upstream")
FINISHED = _counter(
    "finished",
    "Finished generations, with the account of the last attempt.",
    *("mode", "state", "reason", "model", "upstream"),
)
SETTLED = _counter(
    "settled",
    "Videos of models that settle by usage, by how the charge compares with the hold.",
    *("mode", "model", "outcome", "upstream"),
)
UPSTREAM_CALLS = _counter("upstream_calls", "Calls to an upstream, by outcome.", "call", "outcome", "upstream")
SEARCHES = _counter("searches", "Searches for the task of a lost answer, by outcome.", "upstream", "outcome")
COPIED_BYTES = _counter("copied_bytes", "Bytes of videos that were stored and verified.")
VIDEO_DIFFERENCES = _counter("video_differences", "Fields in which videos differ from their request.", "mode", "field")
DELIVERIES = _counter("deliveries", "Delivery attempts of webhooks, by outcome.", "outcome")

ACCEPT = _histogram("accept_seconds", "Time from a create's validated fields to its commit.", CREATE_BUCKETS)
SUBMIT = _histogram("submit_seconds", "Duration of the paid POST.", SUBMIT_BUCKETS)
UPSTREAM = _histogram(
    "upstream_seconds", "Time from the submit to the poll that finds the video rendered.", RENDERING_BUCKETS
)
POLL_LAG = _histogram("poll_lag_seconds", "Delay between a poll's due time and its start.", LAG_BUCKETS)
COPY = _histogram("copy_seconds", "Time from the start of the download to the verified object.", COPY_BUCKETS)
COPY_BYTES = _histogram("copy_bytes", "Size of stored videos in bytes.", SIZE_BUCKETS)
TO_VIDEO = _histogram("accept_to_video_seconds", "Time from accepted to succeeded.", RENDERING_BUCKETS, "model")

WAITERS = Gauge(
    "waiters",
    "Requests that wait for a generation to finish (Prefer: wait).",
    namespace=NAMESPACE,
    registry=registry,
    multiprocess_mode="livesum",
)
