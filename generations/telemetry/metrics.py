"""What is counted and timed on a generation's way, for Prometheus: over all processes of a host.

Each is told where the thing has truly happened: after the commit, or after the answer.
"""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from generations.telemetry import metric_files

if metric_files.FOLDER:
    identify = partial(metric_files.prepare, metric_files.FOLDER)
    values.ValueClass = values.MultiProcessValue(identify)  # type: ignore[no-untyped-call]

NAMESPACE = "seedance"
registry = CollectorRegistry()  # knows their names; their values are in the files of all processes
QUICK = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # seconds; 30 MB in Base64 take some
CALL = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)  # seconds; a submit may take 120
LAG = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3.5, 5, 10, 30, 60)  # seconds; the sweep looks every 0.5
RENDERING = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600, 14400, 86400)  # seconds; given up after a day
COPYING = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 270)  # seconds; broken off after 270
BYTES = tuple(10.0**power * digit for power in (5, 6, 7, 8) for digit in (1, 2, 5))  # 100 kB to 500 MB


def mode(*, test: bool) -> str:
    return "test" if test else "live"


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(name, says, labels, namespace=NAMESPACE, registry=registry)


def _histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, says, namespace=NAMESPACE, buckets=buckets, registry=registry)


ACCEPTED = _counter("accepted", "Generations that were accepted.", "mode")
REFUSED = _counter("refused", "Creates that were refused, by the limit that was reached.", "limit")
SUBMITTED = _counter("submitted", "Paid POSTs that were begun.", "mode")
FINISHED = _counter("finished", "Generations that ended.", "mode", "state", "reason")
UPSTREAM_CALLS = _counter("upstream_calls", "Calls of the upstream, by what came of them.", "call", "outcome")
COPIED_BYTES = _counter("copied_bytes", "Bytes of videos that were stored and verified.")
DELIVERIES = _counter("deliveries", "Webhooks that were posted, by what came of it.", "outcome")

ACCEPT = _histogram("accept_seconds", "From a create's validated fields to its commit.", QUICK)
SUBMIT = _histogram("submit_seconds", "The paid POST.", CALL)
UPSTREAM = _histogram("upstream_seconds", "From a submit to the poll that finds it rendered.", RENDERING)
POLL_LAG = _histogram("poll_lag_seconds", "How much later than due a poll begins.", LAG)
COPY = _histogram("copy_seconds", "From the download's begin to the verified object.", COPYING)
COPY_BYTES = _histogram("copy_bytes", "Bytes of a stored video.", BYTES)
TO_VIDEO = _histogram("accept_to_video_seconds", "From accepted to succeeded.", RENDERING)

WAITERS = Gauge(
    "waiters",
    "Requests that wait for an end (Prefer: wait).",
    namespace=NAMESPACE,
    registry=registry,
    multiprocess_mode="livesum",
)
