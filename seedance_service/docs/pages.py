"""Serve the documentation as HTML and as Markdown: the files of guide/, the error pages and the API reference.

Each file in guide/ is a page. Its first heading is the title; the first sentence below is the summary in /llms.txt.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from markdown_it import MarkdownIt
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request

from seedance_service.docs import error_pages, reference
from seedance_service.errors import views

GUIDE = Path(__file__).parent / "guide"
ORDER = ("quickstart", "guarantees", "novita", "generations", "waiting", "webhooks", "idempotency", "limits", "errors")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# A link to another page; in Markdown it leads to the Markdown form.
LINK = re.compile(r"\]\((/docs(?:/[\w/-]+)?)(?=[)#])")
ABOUT = "A gateway to an image-to-video model: an image in, a signed URL of a stored, verified video out."

View = Callable[..., HttpResponseBase]


class Page(NamedTuple):
    """A page of the documentation."""

    name: str  # under /docs/
    title: str
    summary: str  # one sentence
    text: str  # Markdown

    @property
    def address(self) -> str:
        """Return the path of the page's HTML form."""
        return f"/docs/{self.name}"


Pages = Callable[[], dict[str, Page]]


@functools.cache
def guide() -> dict[str, Page]:
    """Return the pages of the guide by name, in the order of ORDER and then by name."""
    names = sorted(path.stem for path in GUIDE.glob("*.md"))
    names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return {name: _page(name, _text(name)) for name in names}


@functools.cache
def errors() -> dict[str, Page]:
    """Return the page of each error code, by code."""
    return {name: _page(f"errors/{name}", error_pages.page(code)) for name, code in error_pages.all_codes().items()}


def _text(name: str) -> str:
    text = (GUIDE / f"{name}.md").read_text(encoding="utf-8")
    return f"{text}\n{error_pages.index()}" if name == "errors" else text


def _page(name: str, text: str) -> Page:
    title, _, rest = text.removeprefix("# ").partition("\n")
    summary = " ".join(rest.strip().partition("\n\n")[0].split())
    return Page(name, title, re.split(r"(?<=\.) ", summary)[0], text)


def only_read(view: View) -> View:
    """Return a view that refuses all methods except GET and HEAD.

    The refusal is the API's error, not Django's page about forms.
    """

    @csrf_exempt
    @functools.wraps(view)
    def read(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD"):
            return views.method_not_allowed(request)
        return view(request, *args, **kwargs)

    return read


@only_read
@vary_on_headers("Accept")
def page(request: HttpRequest, name: str, of: Pages = guide) -> HttpResponseBase:
    """Answer with a page, as Markdown where the Accept header prefers Markdown."""
    document = _get(of(), name)
    if _prefers_markdown(request):
        return _markdown(document.text)
    body = mark_safe(MARKDOWN.render(document.text))  # noqa: S308  HTML in the Markdown is escaped
    return render(request, "docs/page.html", {"page": document, "body": body, "guide": guide().values()})


@only_read
def page_as_markdown(request: HttpRequest, name: str, of: Pages = guide) -> HttpResponseBase:
    """Answer with a page as Markdown."""
    return _markdown(_get(of(), name).text)


@only_read
def reference_as_markdown(request: HttpRequest) -> HttpResponseBase:
    """Answer with the API reference as Markdown."""
    return _markdown(reference.text())


@only_read
def llms(request: HttpRequest) -> HttpResponseBase:
    """List all pages with their addresses, in the format of https://llmstxt.org."""
    sections = {
        "Guide": [_entry(page) for page in guide().values()],
        "API": [
            "- [API reference](/docs.md): Every address with its parameters, body and answers.",
            "- [OpenAPI 3.1](/openapi.json): The same for programs.",
        ],
        "Optional": [_entry(page) for page in errors().values()],
    }
    parts = [f"## {title}\n\n" + "\n".join(entries) + "\n" for title, entries in sections.items()]
    text = "\n".join([f"# Seedance Service\n\n> {ABOUT}\n", *parts])
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


openapi = SpectacularJSONAPIView.as_view()  # the OpenAPI document


class Reference(SpectacularSwaggerView):
    """The API reference: Swagger UI, or Markdown where the Accept header prefers Markdown."""

    template_name = "docs/reference.html"

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """Return HTML in any case; `get` decides about Markdown."""
        return TemplateHTMLRenderer(), "text/html"

    @extend_schema(exclude=True)
    @method_decorator(vary_on_headers("Accept"))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """Answer with the reference, with links to the guide."""
        if _prefers_markdown(request):
            return _markdown(reference.text())
        swagger: Any = super()
        answer = swagger.get(request, *args, **kwargs)
        answer.data["guide"] = guide().values()
        return answer


def _get(pages: dict[str, Page], name: str) -> Page:
    if name not in pages:
        raise Http404
    return pages[name]


def _prefers_markdown(request: Any) -> bool:
    preferred: str | None = request.get_preferred_type(["text/html", "text/markdown"])
    return preferred == "text/markdown"


def _markdown(text: str) -> HttpResponse:
    return HttpResponse(LINK.sub(r"](\1.md", text), content_type="text/markdown; charset=utf-8")


def _entry(page: Page) -> str:
    return f"- [{page.title}]({page.address}.md): {page.summary}"
