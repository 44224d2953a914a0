"""The addresses of the documentation: without a session, so that the API's handler answers them."""

from django.urls import path
from django.views.generic import RedirectView

from seedance_service.docs import pages
from seedance_service.docs.pages import only_read

urlpatterns = [
    path("openapi.json", pages.openapi),
    path("llms.txt", pages.llms),
    path("docs", pages.api_reference),
    path("docs.md", pages.reference_as_markdown),
    path("docs/", only_read(RedirectView.as_view(url="/docs"))),
    path("docs/errors/<slug:name>", pages.page, {"of": pages.errors}),
    path("docs/errors/<slug:name>.md", pages.page_as_markdown, {"of": pages.errors}),
    path("docs/<slug:name>", pages.page),
    path("docs/<slug:name>.md", pages.page_as_markdown),
]
