"""The documentation: Markdown files of guide/ and what the code says of itself, each as HTML and as Markdown.

A file more in guide/ is a page more: its first heading is its title, the first sentence below it its note in /llms.txt.
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
from drf_spectacular.views import SpectacularSwaggerView
from markdown_it import MarkdownIt
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request

from seedance_service.docs import error_pages, reference
from seedance_service.errors import views

GUIDE = Path(__file__).parent / "guide"
FIRST = ("quickstart", "novita", "generations", "waiting", "webhooks", "idempotency", "limits", "errors")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# A link to another page, which leads from Markdown to Markdown.
LINK = re.compile(r"\]\((/docs(?:/[\w/-]+)?)(?=[)#])")
ABOUT = "A gateway to an image-to-video model: an image in, a signed URL of a stored, verified video out."

View = Callable[..., HttpResponseBase]


class Page(NamedTuple):
    name: str  # under /docs/
    title: str
    note: str  # a sentence
    text: str  # Markdown

    @property
    def address(self) -> str:
        return f"/docs/{self.name}"


Pages = Callable[[], dict[str, Page]]


@functools.cache
def guide() -> dict[str, Page]:
    """The pages of the folder, those of FIRST first."""
    names = sorted(path.stem for path in GUIDE.glob("*.md"))
    names.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return {name: _page(name, _text(name)) for name in names}


@functools.cache
def of_codes() -> dict[str, Page]:
    return {name: _page(f"errors/{name}", error_pages.page(code)) for name, code in error_pages.known().items()}


def _text(name: str) -> str:
    text = (GUIDE / f"{name}.md").read_text(encoding="utf-8")
    return f"{text}\n{error_pages.index()}" if name == "errors" else text


def _page(name: str, text: str) -> Page:
    title, _, rest = text.removeprefix("# ").partition("\n")
    note = " ".join(rest.strip().partition("\n\n")[0].split())
    return Page(name, title, re.split(r"(?<=\.) ", note)[0], text)


def only_read(view: View) -> View:
    """For a document: another method is refused as everywhere else, and not with Django's page about forms."""

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
    found = _found(of(), name)
    if _prefers_markdown(request):
        return _markdown(found.text)
    facts = {"page": found, "body": mark_safe(MARKDOWN.render(found.text)), "guide": guide().values()}  # noqa: S308
    return render(request, "docs/page.html", facts)


@only_read
def page_as_markdown(request: HttpRequest, name: str, of: Pages = guide) -> HttpResponseBase:
    return _markdown(_found(of(), name).text)


@only_read
def reference_as_markdown(request: HttpRequest) -> HttpResponseBase:
    return _markdown(reference.text())


@only_read
def llms(request: HttpRequest) -> HttpResponseBase:
    """As https://llmstxt.org has it: what there is to read, and where."""
    sections = {
        "Guide": [_entry(page) for page in guide().values()],
        "API": [
            "- [API reference](/docs.md): Every address with its parameters, body and answers.",
            "- [OpenAPI 3.1](/openapi.json): The same for programs.",
        ],
        "Optional": [_entry(page) for page in of_codes().values()],
    }
    parts = [f"## {title}\n\n" + "\n".join(entries) + "\n" for title, entries in sections.items()]
    text = "\n".join([f"# Seedance Service\n\n> {ABOUT}\n", *parts])
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


class Reference(SpectacularSwaggerView):
    """Swagger UI; Markdown for who prefers it."""

    template_name = "docs/reference.html"

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return TemplateHTMLRenderer(), "text/html"

    @extend_schema(exclude=True)
    @method_decorator(vary_on_headers("Accept"))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if _prefers_markdown(request):
            return _markdown(reference.text())
        swagger: Any = super()
        answer = swagger.get(request, *args, **kwargs)
        answer.data["guide"] = guide().values()
        return answer


def _found(pages: dict[str, Page], name: str) -> Page:
    if name not in pages:
        raise Http404
    return pages[name]


def _prefers_markdown(request: Any) -> bool:
    preferred: str | None = request.get_preferred_type(["text/html", "text/markdown"])
    return preferred == "text/markdown"


def _markdown(text: str) -> HttpResponse:
    return HttpResponse(LINK.sub(r"](\1.md", text), content_type="text/markdown; charset=utf-8")


def _entry(page: Page) -> str:
    return f"- [{page.title}]({page.address}.md): {page.note}"
