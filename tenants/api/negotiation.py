"""Which of a view's media types the caller accepts, decided once for each distinct Accept header."""

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

MAX_CACHED = 1000  # distinct headers; http/headers_guard.py empties those of more than 1000 characters


class Negotiation(DefaultContentNegotiation):
    """Whoever accepts only problem details is answered in JSON all the same, and `*` alone, as old clients write it, is
    `*/*`. Both count less than a type that is named."""

    ALIKE = {"application/problem+json": "application/*", "*": "*/*"}

    def get_accept_list(self, request: Request) -> list[str]:
        return [self._understood(token) for token in super().get_accept_list(request)]

    def _understood(self, token: str) -> str:
        kind, semicolon, parameters = token.partition(";")
        return self.ALIKE.get(kind.strip().lower(), kind) + semicolon + parameters

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser of the request's content type, or None."""
        return _select_parser(request.content_type, tuple(parsers))


@lru_cache(MAX_CACHED)
def choose(accept: str, offered: tuple[str, ...]) -> str | None:
    """Return the media type of `offered` that the Accept header prefers, or None where it rules all of them out."""
    request: Any = SimpleNamespace(headers={"accept": accept}, query_params={})
    renderers: Any = [SimpleNamespace(media_type=media_type) for media_type in offered]
    try:
        renderer, _ = Negotiation().select_renderer(request, renderers)
    except NotAcceptable:
        return None
    return str(renderer.media_type)


@lru_cache(MAX_CACHED)
def _select_parser(content_type: str, parsers: tuple[Any, ...]) -> Any:
    return next((parser for parser in parsers if media_type_matches(parser.media_type, content_type)), None)
