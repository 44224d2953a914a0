"""`/metrics` on the web port, for who shows METRICS_TOKEN; without that setting there is no such page."""

from django.http import Http404, HttpRequest, HttpResponse

from generations.reports import prometheus


def view(request: HttpRequest) -> HttpResponse:
    if not prometheus.is_authorized(request.headers.get("Authorization", "")):
        raise Http404
    return HttpResponse(prometheus.render(), content_type=prometheus.CONTENT_TYPE)
