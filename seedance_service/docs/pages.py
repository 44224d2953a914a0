"""Serve the documentation as HTML and as Markdown: the files of guide/, the error pages and the API reference.

Each file in guide/ is a page. Its first heading is the title; the first sentence below is the summary in /llms.txt.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularSwaggerView
from markdown_it import MarkdownIt

from seedance_service.docs import error_pages, reference
from seedance_service.docs.openapi import document
from seedance_service.errors import views
from tenants.api import documents, negotiation
from tenants.api.documents import Document

GUIDE = Path(__file__).parent / "guide"
ORDER = (
    *("quickstart", "guarantees", "novita", "generations", "models"),
    *("waiting", "webhooks", "webhooks-locally", "idempotency", "limits", "errors", "clients"),
)
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
HTML = "text/html; charset=utf-8"
# What may be wider than a page scrolls by itself, and so has to be reached by a keyboard.
SCROLLING = {
    "<pre>": '<pre tabindex="0">',
    "<table>": '<div class="table" tabindex="0"><table>',
    "</table>": "</table></div>",
}
# A link to another page; in Markdown it leads to the Markdown form.
LINK = re.compile(r"\]\((/docs(?:/[\w/-]+)?)(?=[)#])")
ABOUT = "A gateway to video models: an image or a text in, a signed URL of a stored, verified video out."

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
def page(request: HttpRequest, name: str, of: Pages = guide) -> HttpResponseBase:
    """Answer with a page, as Markdown where the Accept header prefers Markdown."""
    document = _get(of(), name)
    made = _markdown(document.text) if _prefers_markdown(request) else _html(document)
    return documents.answer(request, made, vary="Accept")


@only_read
def page_as_markdown(request: HttpRequest, name: str, of: Pages = guide) -> HttpResponseBase:
    """Answer with a page as Markdown."""
    return documents.answer(request, _markdown(_get(of(), name).text))


@only_read
def api_reference(request: HttpRequest) -> HttpResponseBase:
    """Answer with the API reference: Swagger UI, or Markdown where the Accept header prefers Markdown."""
    made = _markdown(reference.text()) if _prefers_markdown(request) else _swagger()
    return documents.answer(request, made, vary="Accept")


@only_read
def reference_as_markdown(request: HttpRequest) -> HttpResponseBase:
    """Answer with the API reference as Markdown."""
    return documents.answer(request, _markdown(reference.text()))


@only_read
def llms(request: HttpRequest) -> HttpResponseBase:
    """List all pages with their addresses, in the format of https://llmstxt.org."""
    return documents.answer(request, _llms())


@only_read
def openapi(request: HttpRequest) -> HttpResponseBase:
    """Answer with the OpenAPI document, in the media type of the two that the Accept header prefers."""
    media_type = negotiation.choose(request.META.get("HTTP_ACCEPT", "*/*"), document.MEDIA_TYPES)
    if media_type is None:
        return views.not_acceptable(request)
    return documents.answer(request, _openapi(media_type), vary="Accept")


@functools.cache
def _html(page: Page) -> Document:
    text = MARKDOWN.render(page.text)
    for plain, focusable in SCROLLING.items():
        text = text.replace(plain, focusable)
    body = mark_safe(text)  # noqa: S308  HTML in the Markdown is escaped
    html = render_to_string("docs/page.html", {"page": page, "body": body, "guide": guide().values()})
    return documents.of(html, HTML)


@functools.cache
def _markdown(text: str) -> Document:
    """Return a page of this text, whose links lead to the Markdown form of other pages."""
    return documents.of(LINK.sub(r"](\1.md", text), "text/markdown; charset=utf-8")


@functools.cache
def _swagger() -> Document:
    """Return the page of Swagger UI, with links to the guide."""
    swagger: Any = SpectacularSwaggerView(url="/openapi.json")
    facts = swagger.get(HttpRequest()).data  # of the request it reads parameters that the document does not have
    return documents.of(render_to_string("docs/reference.html", {**facts, "guide": guide().values()}), HTML)


@functools.cache
def _openapi(media_type: str) -> Document:
    return documents.of(document.as_json(), media_type)


@functools.cache
def _llms() -> Document:
    sections = {
        "Guide": [_entry(page) for page in guide().values()],
        "API": [
            "- [API reference](/docs.md): Every address with its parameters, body and answers.",
            "- [OpenAPI 3.1](/openapi.json): The same for programs.",
        ],
        "Optional": [_entry(page) for page in errors().values()],
    }
    parts = [f"## {title}\n\n" + "\n".join(entries) + "\n" for title, entries in sections.items()]
    return documents.of("\n".join([f"# Seedance Service\n\n> {ABOUT}\n", *parts]), "text/plain; charset=utf-8")


def _get(pages: dict[str, Page], name: str) -> Page:
    if name not in pages:
        raise Http404
    return pages[name]


def _prefers_markdown(request: Any) -> bool:
    preferred: str | None = request.get_preferred_type(["text/html", "text/markdown"])
    return preferred == "text/markdown"


def _entry(page: Page) -> str:
    return f"- [{page.title}]({page.address}.md): {page.summary}"
