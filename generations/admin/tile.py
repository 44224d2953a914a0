"""A tile of the dashboard, and the addresses that tiles lead to."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

MAX_NAMED = 3  # tenants in the note of a tile


@dataclass(frozen=True)
class Tile:
    """A figure of the dashboard, with a note and a colour."""

    name: str
    figure: Any
    note: str = ""
    level: str = ""  # good, warn or bad
    url: str = ""


def problem_tile(name: str, count: int, note: str, **query: str) -> Tile:
    """Return a tile that is yellow unless the count is 0, and leads to the generations of the query."""
    return Tile(name, count, note, "warn" if count else "", list_url(mode="all", **query))


def list_url(**query: str) -> str:
    """Return the address of the list of generations, filtered by `query`."""
    return reverse("admin:generations_generation_changelist", query=query)
