"""`/metrics` on the web port, for who shows METRICS_TOKEN; without that setting there is no such page."""

from django.http import Http404, HttpRequest, HttpResponse

from generations import exposition


def view(request: HttpRequest) -> HttpResponse:
    if not exposition.is_allowed(request.headers.get("Authorization", "")):
        raise Http404
    return HttpResponse(exposition.text(), content_type=exposition.CONTENT_TYPE)
