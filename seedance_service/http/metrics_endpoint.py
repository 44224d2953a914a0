"""`/metrics` on the web port, for callers with METRICS_TOKEN; without that setting the page does not exist."""

from django.http import Http404, HttpRequest, HttpResponse

from generations.reports import prometheus


def view(request: HttpRequest) -> HttpResponse:
    """Return all metrics in Prometheus's text format. Raise Http404 without the right token."""
    if not prometheus.is_authorized(request.headers.get("Authorization", "")):
        raise Http404
    return HttpResponse(prometheus.render(), content_type=prometheus.CONTENT_TYPE)
