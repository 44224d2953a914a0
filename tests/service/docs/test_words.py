"""Retired words do not come back: docs/GLOSSARY.md says which word is used for each thing."""

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Each retired word with the word to use, and the texts in which it stays: names that rows, scripts and callers hold.
RETIRED: dict[str, tuple[str, tuple[str, ...]]] = {
    "told": ("notified, reported, shown", ()),
    "tells": ("says, reports", ()),
    "kept": ("stored, cached, pooled", ()),
    "nobody": ("name the actor", ("nobody can wait",)),
    "whoever": ("name the actor", ()),
    "somebody": ("name the actor", ()),
    "anew": ("again", ()),
    "meanwhile": ("say during what", ()),
    "wanted": ("required, requested", ('"wanted"',)),
    "standing": ("limit usage", ()),
    "standings": ("limit usage", ()),
    "crew": ("thread pool", ()),
    "chore": ("maintenance cursor", ("generations_chore",)),
    "tally": ("hourly statistics", ("generations_tally",)),
    "entrance": ("API", ()),
    "entrances": ("APIs", ()),
    "picture": ("image", ("picture.png",)),
    "pictures": ("images", ("pictures.example.com", '"pictures"')),  # a kind of `prune`, and a column
    "rung": ("woken", ("rung_until",)),
    "doorbell": ("wake-up", ()),
    "let_go": ("release", ()),
    "its life": ("history, timeline", ()),
    "became of": ("result", ("it is not known what became of it",)),
}
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".yml", ".yaml", ".toml", ".example", ".sh", ".template"}
FOLDERS = ("seedance_service", "tenants", "generations", "deploy", "docs", "tests")
ELSEWHERE = re.compile(r"/migrations/|/node_modules/|/secrets/|^tests/service/docs/test_words\.py$")


@functools.cache
def texts() -> dict[str, str]:
    """Return the text of each file that people read, by its name."""
    found = [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    paths = [path for path in found if path.suffix in SUFFIXES and path.name != "CHANGELOG.md"]
    names = {str(path.relative_to(ROOT)): path for path in paths}
    return {name: path.read_text() for name, path in names.items() if not ELSEWHERE.search(name)}


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_does_not_come_back(word: str) -> None:
    use, allowed = RETIRED[word]
    pattern = re.compile(rf"(?<![\w.-]){word}(?![\w-])", re.IGNORECASE)
    hits = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts().items()
        if word in text.lower()  # much faster than the pattern
        for number, line in enumerate(text.split("\n"), 1)
        if pattern.search(line) and not any(harmless in line for harmless in allowed)
    ]
    assert hits == [], f"use: {use}"
