"""Retired words do not come back: docs/GLOSSARY.md says which word is used for each thing."""

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


def files() -> list[Path]:
    """Return the text files that people read."""
    found = [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in found if path.suffix in SUFFIXES and path.name != "CHANGELOG.md"]
    return [path for path in texts if not ELSEWHERE.search(str(path.relative_to(ROOT)))]


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_does_not_come_back(word: str) -> None:
    use, allowed = RETIRED[word]
    pattern = re.compile(rf"(?<![\w.-]){word}(?![\w-])", re.IGNORECASE)
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if pattern.search(line) and not any(text in line for text in allowed)
    ]
    assert hits == [], f"use: {use}"
