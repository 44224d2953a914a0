"""`/metrics` on the web port, for who shows METRICS_TOKEN; without that setting there is no such page."""

from django.http import Http404, HttpRequest, HttpResponse

from generations.reports import database_metrics


def view(request: HttpRequest) -> HttpResponse:
    if not database_metrics.is_allowed(request.headers.get("Authorization", "")):
        raise Http404
    return HttpResponse(database_metrics.text(), content_type=database_metrics.CONTENT_TYPE)
