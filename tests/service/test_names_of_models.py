"""The product names no model, no resolution and no aspect ratio: all of them are in the catalogue's files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from generations.catalog import video_models

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("deploy", "generations", "seedance_service", "tenants")
# Where such a name may stand, and why.
ALLOWED = {
    "generations/catalog/video_models.py": "the model of a create that names none",
    "generations/catalog/model_file_checks.py": "the ratio that leaves the shape to the upstream, and so has no pixels",
    "seedance_service/docs/": "examples of the documentation",
    "deploy/run.py": "the demo, and the line of shell that `make run` prints",
}


def names() -> re.Pattern[str]:
    """Return the pattern of every model's id, also with underscores, and of all resolutions and ratios."""
    words = set[str]()
    for model in video_models.load("").values():
        words |= {model.id, re.sub(r"[^a-z0-9]", "_", model.id)}
        words |= {str(value) for name in ("resolution", "aspect_ratio") for value in model.supported(name)}
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(longest_first)})(?![A-Za-z0-9])", re.IGNORECASE)


def texts(source: str) -> Iterator[str]:
    """Yield the texts in the code of a module. Docstrings and comments may give examples."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def product_files() -> list[str]:
    """Return the Python files of the product, but for migrations, which are never changed."""
    paths = [path.relative_to(ROOT) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [str(path) for path in paths if "migrations" not in path.parts]


def test_only_the_catalogue_names_models_resolutions_and_ratios() -> None:
    pattern = names()
    found = {
        path: sorted({match for text in texts((ROOT / path).read_text()) for match in pattern.findall(text)})
        for path in product_files()
        if not path.startswith(tuple(ALLOWED))
    }
    assert {path: matches for path, matches in found.items() if matches} == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('MODEL = "wan2.6-t2v"', ["wan2.6-t2v"]),
        ('NAME = f"novita_seedance_v1_lite_i2v_{x}"', ["seedance_v1_lite_i2v"]),
        ('OPERATION = "kling_v3_0_std_i2v"', ["kling_v3_0_std_i2v"]),
        ('help = "such as 1080P, at 16:9"', ["1080P", "16:9"]),
        ('"""For example 480p."""\nresolution = "sixteen"  # 720p', []),
    ],
    ids=["model", "part of a name", "underscores", "sentence", "prose"],
)
def test_the_search_finds_names_in_code_alone(code: str, expected: list[str]) -> None:
    pattern = names()
    assert [match for text in texts(code) for match in pattern.findall(text)] == expected
