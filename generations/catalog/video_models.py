"""The catalogue: every video model that the service knows, from the files in `models/` and in CATALOG_DIR.

A file of CATALOG_DIR adds a model, or replaces the shipped one of the same id. All files are read once; a mistake in
one raises CatalogError, which stops the start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from generations.catalog import model_file, model_file_checks, offers
from generations.catalog.model_file import CatalogError, ModelRow
from generations.catalog.offers import Offer
from generations.catalog.request_fields import SEED, RequestField
from generations.media.image_rules import ImageRules

SHIPPED = Path(__file__).parent / "models"
DEFAULT_ID = "seedance-v1-lite-i2v"  # of a create that names no model


@dataclass(frozen=True)
class VideoModel:
    """A video model: the requests that it takes, the videos that it makes, and where it is at the upstream."""

    row: ModelRow

    def __str__(self) -> str:
        return self.row.id

    @property
    def id(self) -> str:
        """The model's id, as requests name it."""
        return self.row.id

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """The upstream accounts that make the videos, in the order in which they are asked."""
        return offers.of_row(self.row)

    @property
    def route(self) -> str | None:
        """The path under which callers of Novita's API create with the model; None for a model of another wire."""
        return self.row.route

    @cached_property
    def fields(self) -> dict[str, RequestField]:
        """The fields that a request may have, by name, in the order of the upstream's body."""
        return {row.name: RequestField(row) for row in self.row.fields if row.presence != "forbidden"}

    @cached_property
    def image_fields(self) -> tuple[str, ...]:
        """The names of the fields that take images."""
        return tuple(name for name, field in self.fields.items() if field.is_image)

    @property
    def image_encoding(self) -> str:
        """The form in which an image goes upstream: "data_uri", "base64" or "url"."""
        return self.row.image.encoding if self.row.image else "data_uri"

    @property
    def has_seed(self) -> bool:
        """True if requests have a seed."""
        return SEED in self.fields

    @cached_property
    def max_seed(self) -> int:
        """The largest seed; 0 for a model without one."""
        return int(self.fields[SEED].row.max or 0) if self.has_seed else 0

    @property
    def min_seed(self) -> int:
        """The least seed that is drawn."""
        return max(0, int(self.fields[SEED].row.min or 0)) if self.has_seed else 0

    @property
    def can_have_sound(self) -> bool:
        """True if a video of the model can have a sound track."""
        return self.row.sound != "never"

    def has_sound(self, values: Mapping[str, Any]) -> bool:
        """Return whether the video of a request with these values has a sound track."""
        flag = self.row.sound.partition(":")[2]
        return bool(values.get(flag)) if flag else self.can_have_sound

    @cached_property
    def image_rules(self) -> ImageRules | None:
        """The rules for images; None for a model that takes none."""
        if self.row.image is None:
            return None
        rules = msgspec.structs.asdict(self.row.image)
        del rules["encoding"]  # how an image goes upstream
        return ImageRules(self.id, **rules)

    def supported(self, name: str) -> tuple[str | int, ...]:
        """Return the values of a field that takes few of them; none if the model has no such field."""
        return self.fields[name].values if name in self.fields else ()

    @property
    def fps(self) -> int | None:
        """The frames a second of a video; None if they are not known."""
        return self.row.fps

    def frames(self, duration: int) -> int | None:
        """Return the frames of a video of `duration` seconds, with the one from which it starts; None: not known."""
        return self.row.fps * duration + self.row.frames_extra if self.row.fps else None

    def size(self, values: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return width and height of the video of a request in pixels; None if they are not known before."""
        return self.row.pixels.get(values.get("resolution") or "", {}).get(values.get("aspect_ratio") or "")

    def sizes(self, values: Mapping[str, Any]) -> list[tuple[int, int]]:
        """Return each width and height that the video of a request can have, in pixels; none if they are not known."""
        if size := self.size(values):
            return [size]
        resolution = values.get("resolution")
        return [size for name, row in self.row.pixels.items() if resolution in (None, name) for size in row.values()]

    def describe(self, values: Mapping[str, Any]) -> str:
        """Return what a request buys, as a bill names it: the model, and the values that decide the price."""
        parts = [self.id, values.get("resolution"), f"{values['duration']} s"]
        for name, field in self.fields.items():
            if field.row.priced and name not in ("resolution", "aspect_ratio", "duration"):
                value = values.get(name)
                parts.append(name if value is True else value if isinstance(value, str) else None)
        return " ".join(part for part in parts if part)


def models() -> Mapping[str, VideoModel]:
    """Return every model by its id. Raise CatalogError."""
    return load(settings.CATALOG_DIR)


def by_route() -> Mapping[str, VideoModel]:
    """Return the models that callers of Novita's API create with, by their paths there."""
    return {model.route: model for model in models().values() if model.route}


def get(model_id: str) -> VideoModel | None:
    """Return the model of that id; None if the catalogue has none."""
    return models().get(model_id)


def label(model_id: str) -> str:
    """Return the value of the label `model` of metrics: the id, or "other" for a model that left the catalogue."""
    return model_id if model_id in models() else "other"


def default() -> VideoModel:
    """Return the model of a create that names none."""
    return models()[DEFAULT_ID]


@cache
def load(folder: str) -> Mapping[str, VideoModel]:
    """Return every model by id, those of an operator's folder included. Raise CatalogError.

    The models are in the order of their ids. An empty text: no folder.
    """
    mistakes: list[str] = []
    found: dict[str, tuple[Path, ModelRow]] = {}
    for path in _files(folder):
        try:
            row = model_file.read(path)
        except CatalogError as error:
            mistakes.append(str(error))
        else:
            mistakes += [f"{path}: {mistake}" for mistake in model_file_checks.check(row)]
            if row.id in found and found[row.id][0].parent == path.parent:
                mistakes.append(f"{path}: id: {found[row.id][0].name} has the id {row.id} already.")
            found[row.id] = path, row
    if not mistakes:
        mistakes += _check_together(found)
    if mistakes:
        raise CatalogError("\n".join(mistakes))
    return {model_id: VideoModel(row) for model_id, (_, row) in sorted(found.items())}


def _files(folder: str) -> Iterable[Path]:
    """Return the shipped files and then those of the operator's folder. Raise CatalogError without that folder."""
    own = Path(folder)
    if folder and not own.is_dir():
        raise CatalogError(f"CATALOG_DIR: {folder} is no folder.")
    return [*sorted(SHIPPED.glob("*.toml")), *(sorted(own.glob("*.toml")) if folder else [])]


def _check_together(found: Mapping[str, tuple[Path, ModelRow]]) -> Iterable[str]:
    """Yield what is wrong between files: routes that two models share, and replacements that do not exist."""
    by_route: dict[str, str] = {}
    for model_id, (path, row) in found.items():
        if row.route and (other := by_route.setdefault(row.route, model_id)) != model_id:
            yield f"{path}: route: {row.route} is the route of {other}."
        yield from (f"{path}: {mistake}" for mistake in model_file_checks.check_replacement(row, found))
