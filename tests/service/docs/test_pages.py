"""Test the documentation: one page for each code, each page in both forms, and every link leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from rest_framework.exceptions import APIException

from generations import errors
from generations.upstream.outcomes import Cause
from seedance_service.docs import error_pages, pages, reference
from seedance_service.docs.error_advice import ADVICE
from seedance_service.errors import problems, statuses
from tenants.errors import Refusal
from tests.http_client import Client

pytestmark = pytest.mark.one_database
ROOT = Path(__file__).parents[3]
PATHS = [page.address for page in [*pages.guide().values(), *pages.errors().values()]]
OUR_PACKAGES = ("generations.", "tenants.", "seedance_service.")


def subclasses(kind: type[Exception]) -> Iterator[Any]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def codes_of_failed_generations() -> set[str]:
    """Return every code that the product ends a generation with."""
    sources = [path.read_text() for path in (ROOT / "generations").rglob("*.py")]
    literal = {code for source in sources for code in re.findall(r'\b_?fail\w*\(\s*\w+,\s*"(\w+)"', source)}
    of_models = {errors.ModelRetired.code, errors.ModelUnknown.code}
    of_causes = set(map(str, Cause)) - {""}
    return literal | of_models | of_causes | {kind.code for kind in subclasses(errors.BadImage)}


def codes_of_answers() -> set[str]:
    """Return every code that an answer can have."""
    refusals = {kind.code for kind in subclasses(Refusal) if kind.__module__.startswith(OUR_PACKAGES)}
    framework = {kind.default_code for kind in subclasses(APIException) if kind.__module__.startswith(OUR_PACKAGES)}
    framework |= {"parse_error", "unsupported_media_type", "method_not_allowed", "not_acceptable", "invalid_request"}
    return refusals | framework | set(statuses.PLAIN) | {"database_unavailable", "storage_unavailable"}


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def text(path: str, **headers: str) -> str:
    answer = get(path, **headers)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


@pytest.mark.parametrize("code", sorted(codes_of_answers() | codes_of_failed_generations()))
def test_every_code_has_a_page(code: str) -> None:
    assert code in ADVICE, f"say in seedance_service/docs/error_advice.py what a caller should do about {code}"
    assert f"The code is `{code}`." in text(f"/docs/errors/{code}.md")


def test_no_page_is_about_an_unknown_code() -> None:
    assert set(pages.errors()) == set(ADVICE) == codes_of_answers() | codes_of_failed_generations()


def test_the_codes_that_generations_fail_with_say_so() -> None:
    before_recording = {"image_invalid", "image_not_url_or_base64"}  # checked before there is a generation
    assert {
        name for name, advice in ADVICE.items() if advice.message
    } == codes_of_failed_generations() - before_recording


@pytest.mark.parametrize("kind", [kind for kind in statuses.TABLE if issubclass(kind, Refusal)])
def test_a_refusals_page_has_the_tables_numbers(kind: type[Refusal]) -> None:
    row, apis, page = statuses.TABLE[kind], ADVICE[kind.code].apis, text(f"/docs/errors/{kind.code}.md")
    assert (f"| `/v1/` | {row.status} | `code` is `{kind.code}` |" in page) == ("/v1/" in apis)
    wire = f"| `/v3/` | {row.wire_status} | `reason` is `{row.wire_reason}` |"
    assert (wire in page) == ("/v3/" in apis)


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_a_page_says_what_it_means_what_to_do_and_how_it_looks(code: str) -> None:
    page = text(f"/docs/errors/{code}.md")
    title, means, *_ = page.split("\n\n")
    assert title == f"# {problems.title(code)}"
    assert len(means) > 10
    assert not re.search(r"\{\w+\}", page), "a value of the sentence is missing"
    assert page.index("| where |") < page.index("## What to do") < page.index("## Example") < page.index("```json")
    assert error_pages.EXAMPLE_REQUEST_ID in page or "## Example\n\nIn a failed generation" in page


def test_the_list_of_codes_links_to_each() -> None:
    page = text("/docs/errors.md")
    assert all(f"[`{code}`](/docs/errors/{code}.md)" in page for code in ADVICE)


def test_each_file_of_the_guide_is_a_page() -> None:
    assert (
        set(pages.guide())
        == {path.stem for path in pages.GUIDE.glob("*.md")}
        >= {
            *("quickstart", "novita", "idempotency", "errors", "limits"),
        }
    )
    for page in pages.guide().values():
        assert page.text.startswith(f"# {page.title}\n")
        assert page.summary.endswith(".")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_two_forms(path: str) -> None:
    html, markdown = get(path), get(f"{path}.md")
    assert (html["Content-Type"], html["Vary"]) == ("text/html; charset=utf-8", "Accept, Accept-Encoding")
    assert markdown["Content-Type"] == "text/markdown; charset=utf-8"
    chosen = get(path, Accept="text/markdown")
    assert (chosen.content, chosen["Content-Type"]) == (markdown.content, markdown["Content-Type"])
    assert chosen["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "text/html"),
        ("", "text/html"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("text/markdown, text/html, */*", "text/markdown"),
        ("text/html;q=0.5, text/markdown", "text/markdown"),
        ("text/markdown;q=0.5, text/html", "text/html"),
        ("text/markdown;q=0", "text/html"),
        ("text/markdown;q=nan", "text/markdown"),
        ("application/json", "text/html"),
        (",;=" * 1000, "text/html"),
    ],
)
@pytest.mark.parametrize("path", ["/docs/limits", "/docs"])
def test_the_form_is_the_one_that_is_preferred(accept: str, kind: str, path: str) -> None:
    assert get(path, Accept=accept)["Content-Type"].startswith(kind)


@pytest.mark.parametrize("path", [*PATHS, "/docs"])
def test_a_page_loads_nothing_from_other_hosts(path: str) -> None:
    html = text(path)
    loaded = re.findall(r'<(?:link|script|img)[^>]*?(?:href|src)="([^"]*)"', html)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded), loaded
    if path != "/docs":  # Swagger UI is drf-spectacular's page
        assert not re.search(r"<script|<style|style=| on\w+=", html)


@pytest.mark.parametrize("name", ["docs/docs.css", "docs/nav.css"])
def test_the_styles_are_static_files_of_ours(name: str) -> None:
    path = finders.find(name)
    assert isinstance(path, str)
    assert "://" not in Path(path).read_text()
    assert f"/static/{name}" in text("/docs/quickstart") + text("/docs")


def test_html_in_markdown_is_only_text() -> None:
    assert pages.MARKDOWN.render("<script>alert(1)</script>") == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    assert "javascript:" not in re.findall(r'href="([^"]*)"', pages.MARKDOWN.render("[a](javascript:alert(1))"))


def test_every_link_leads_somewhere() -> None:
    """Check every link; the links of a Markdown page lead to Markdown pages."""
    links = set[str]()
    for path in [*PATHS, "/docs"]:
        links |= set(re.findall(r'href="(/[^"]*)"', text(path)))
        in_markdown = re.findall(r"\]\((/[^)#]*)", text(f"{path}.md"))
        assert all(link.endswith((".md", ".json")) for link in in_markdown), in_markdown
        links |= set(in_markdown)
    links |= set(re.findall(r"\]\((/[^)]*)\)", text("/llms.txt")))
    lost = [link for link in sorted(links) if not link.startswith("/static/") and get(link).status_code != 200]
    assert lost == []


def test_llms_txt_is_in_its_format() -> None:
    answer = get("/llms.txt")
    title, blank, summary, *rest = answer.content.decode().splitlines()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert (title, blank, summary[:2]) == ("# Seedance Service", "", "> ")
    assert [line for line in rest if line.startswith("#")] == ["## Guide", "## API", "## Optional"]
    entries = [line for line in rest if line and not line.startswith("#")]
    assert all(re.fullmatch(r"- \[[^\]]+\]\(/\S+\): .+\.", entry) for entry in entries), entries
    assert {f"/docs/{name}.md" for name in pages.guide()} <= set(re.findall(r"\((\S+)\)", answer.content.decode()))


def test_the_reference_has_every_operation_of_the_openapi_document() -> None:
    page, document = text("/docs.md"), get("/openapi.json").json()
    assert text("/docs", Accept="text/markdown") == page
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 8
    for name, operation in operations:
        _, heading, part = page.partition(f"### {name}\n")
        part = part.partition("\n### ")[0]
        assert heading, name
        assert operation["summary"] in part
        assert all(f"| `{item['name']}` | {item['in']} |" in part for item in operation.get("parameters", []))
        assert all(f"| {status} | " in part for status in operation["responses"])
    assert "| `resolution` | `480p` or `720p` or `1080p`, required |" in page


def test_the_reference_holds_no_note_for_developers() -> None:
    assert "what a key must be allowed, by method" not in text("/docs.md") + text("/openapi.json")


def test_a_type_is_written_in_words() -> None:
    shapes = {"Row": {"properties": {}}, "Enum": {"enum": ["a", None]}}
    for schema, words in [
        (
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9, "default": 5},
            "integer from 0 to 9 or null (default `5`)",
        ),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Row"}}, "list of Row"),
        ({"oneOf": [{"$ref": "#/components/schemas/Enum"}, {"type": "null"}]}, "`a` or `null` or null"),
        (
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
            "object of string of at most 3 characters",
        ),
        ({}, "any value"),
    ]:
        assert reference._kind(schema, shapes) == words


def test_the_page_of_swagger_links_to_the_guide() -> None:
    html = text("/docs")
    assert 'id="swagger-ui"' in html
    assert all(f'href="/docs/{name}"' in html for name in pages.guide())


@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/nothing.md", "/docs/errors/nothing", "/docs/errors/nothing.md"]
)
@pytest.mark.parametrize("name", ["nothing", "__init__", "..", "%2e%2e%2fsettings", "x" * 5000])
def test_there_is_no_other_page(path: str, name: str) -> None:
    answer = get(path.replace("nothing", name), Accept="text/markdown")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_head_request_has_no_body() -> None:
    answer = Client().head("/docs/quickstart")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/docs", *PATHS])
def test_a_page_names_its_language_and_what_scrolls_is_reached_by_the_keyboard(path: str) -> None:
    page = text(path)
    assert '<html lang="en">' in page
    assert "<pre>" not in page
    assert page.count("<table>") == page.count('<div class="table" tabindex="0"><table>')
