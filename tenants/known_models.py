"""The ids of the video models, for the lists of models that are allowed. The layer above registers them."""

from collections.abc import Callable, Iterable


class KnownModels:
    """The source of the ids, which is asked each time: the catalogue may be read after the registration."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[str]] = tuple

    def register(self, source: Callable[[], Iterable[str]]) -> None:
        """Set the function that returns the ids of all models."""
        self._source = source

    def ids(self) -> list[str]:
        """Return the ids of all models, in the catalogue's order. Return an empty list if no source is registered."""
        return list(self._source())


known_models = KnownModels()
