"""Test that the README, the runbook, the guide and the tables of docs/ say what the code says."""

import ast
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from seedance_service import env
from seedance_service.docs import tables

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text()
PROMISES = (ROOT / "tests" / "PROMISES.md").read_text()
GUIDE = [path.read_text() for path in sorted((ROOT / "seedance_service" / "docs" / "guide").glob("*.md"))]
DEVELOPMENT = (ROOT / "docs" / "DEVELOPMENT.md").read_text()
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "deploy/RUNBOOK.md", "docs/DEVELOPMENT.md"]
DOCUMENTS += [f"docs/{name}" for name in tables.TABLES]
SETTINGS = sorted(env.documented)
TEXTS = "\n".join([README, RUNBOOK, DEVELOPMENT, *GUIDE, *(render() for render in tables.TABLES.values())])


def variables_of(path: str) -> set[str]:
    """Return the first argument of each call of a reader of `env` in a file."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("env")), args=[ast.Constant(str(name)), *_]):
                names.add(name)
    return names


def sections_of(document: Path) -> set[str]:
    """Return the anchors of a Markdown file's headings, as GitHub forms them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_every_setting_that_is_read_is_in_the_table_of_settings() -> None:
    files = ("operator_settings", "staff_settings", "bucket_settings", "upstream_settings", "settings")
    read = set().union(*(variables_of(f"seedance_service/{name}.py") for name in files))
    assert len(read) > 50
    assert read == set(SETTINGS)
    for name in read:
        assert f"\n| `{name}` |" in tables.settings()


@pytest.mark.parametrize("variable", env.documented.values(), ids=lambda variable: str(variable.name))
def test_every_setting_has_a_help_text_of_whole_sentences(variable: env.Variable) -> None:
    assert len(variable.help) > 10
    assert variable.help.endswith(".")


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_committed_table_is_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == tables.TABLES[name](), "run `make docs`"


def test_every_variable_of_the_procfile_is_a_documented_setting() -> None:
    procfile = (ROOT / "deploy" / "Procfile").read_text()
    assert {*re.findall(r"\$\{([A-Z_]+)", procfile)} - {"GLIBC_TUNABLES"} <= set(SETTINGS)


@pytest.mark.parametrize(
    "name", re.findall(r"^#? ?([A-Z0-9_]+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE)
)
def test_every_setting_of_the_example_is_one_that_is_read(name: str) -> None:
    assert name.removesuffix("_FILE") in SETTINGS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"manage\.py ([a-z][\w-]*\w)", TEXTS))))
def test_every_command_that_is_named_exists(name: str) -> None:
    assert load_command_class(get_commands()[name], name)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`make ([a-z]+)", TEXTS))))
def test_every_make_target_that_is_named_exists(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_or_a_section_leads_somewhere(document: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / document).read_text()):
        file, _, section = link.partition("#")
        if "://" in link or link.startswith("/"):
            continue
        target = (ROOT / document).parent / file if file else ROOT / document
        assert target.exists(), link
        assert not section or section in sections_of(target), link


def test_the_locks_name_no_place_to_download_from() -> None:
    for lock in (*(ROOT / "requirements").glob("*.txt"), *(ROOT / "tests" / "contract").glob("*.txt")):
        assert "://" not in lock.read_text()
    assert '"resolved"' not in (ROOT / "tests" / "sdk" / "package-lock.json").read_text()


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([\w/]*test_\w+\.py(?:::\w+)?)`", PROMISES))))
def test_each_test_that_a_promise_refers_to_exists(reference: str) -> None:
    file, _, test = reference.partition("::")
    assert f"def {test}" in (ROOT / "tests" / file).read_text()
