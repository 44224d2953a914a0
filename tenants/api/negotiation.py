"""The choice of a view's media type by the Accept header, made once for each distinct header."""

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

MAX_CACHED = 1000  # distinct headers; http/headers_guard.py empties those of more than 1000 characters


class Negotiation(DefaultContentNegotiation):
    """Negotiation with two more rules, both weaker than a type that is named.

    A caller that accepts only problem details is answered in JSON. A `*` alone, as old clients write, means `*/*`.
    """

    ALIASES = {"application/problem+json": "application/*", "*": "*/*"}

    def get_accept_list(self, request: Request) -> list[str]:
        return [self._resolve_alias(token) for token in super().get_accept_list(request)]

    def _resolve_alias(self, token: str) -> str:
        kind, semicolon, parameters = token.partition(";")
        return self.ALIASES.get(kind.strip().lower(), kind) + semicolon + parameters

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser of the request's content type, or None."""
        return _select_parser(request.content_type, tuple(parsers))


@lru_cache(MAX_CACHED)
def choose(accept: str, offered: tuple[str, ...]) -> str | None:
    """Return the media type of `offered` that the Accept header prefers, or None if the header excludes them all."""
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
