"""Answers that a caller may have already, and then need not be sent again: they have a tag (RFC 9110, 8.8.3).

The bytes of the documentation, the OpenAPI document and the pages of models are made once in a process. Those of usage
and limits are made for each request. Many may ask at any time: each answer costs less than a read of a generation.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter

NO_CACHE = "no-cache"  # a cache asks again, by the tag, each time
PRIVATE = "private, no-cache"  # so does a cache of this key alone
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of an earlier answer. While nothing has changed, the answer is 304 without a body.",
)
MIN_GZIPPED_BYTES = 1000  # below it the bytes fit one packet either way
REFUSED = re.compile(r"q=0(\.0*)?")


@dataclass(frozen=True)
class Document:
    """The bytes of an answer, plain and compressed (empty if not worth it), and the digest that names them."""

    content_type: str
    content: bytes
    gzipped: bytes
    digest: str


def of(content: str | bytes, content_type: str, *, is_lasting: bool = True) -> Document:
    """Return the document with this content. One that is not lasting is sent once, and not worth its compression."""
    content = content.encode() if isinstance(content, str) else content
    gzipped = gzip.compress(content, mtime=0) if is_lasting and len(content) >= MIN_GZIPPED_BYTES else b""
    return Document(content_type, content, gzipped, hashlib.sha256(content).hexdigest()[:32])


def answer(
    request: HttpRequest, document: Document, *, vary: str = "", cache_control: str = NO_CACHE
) -> HttpResponseBase:
    """Answer with the document, compressed if the caller takes it; 304 if the caller has it (RFC 9110, 13.1.2).

    `vary` names the header by which the document was chosen, if one did.
    """
    is_gzipped = bool(document.gzipped) and accepts_gzip(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    response = HttpResponse(document.gzipped if is_gzipped else document.content, content_type=document.content_type)
    response.headers["Vary"] = ", ".join(filter(None, (vary, "Accept-Encoding")))
    response.headers["Cache-Control"] = cache_control
    etag = response.headers["ETag"] = f'"{document.digest}{"-gzip" * is_gzipped}"'
    if is_gzipped:
        response.headers["Content-Encoding"] = "gzip"
    return get_conditional_response(request, etag=etag, response=response) or response


def answer_privately(
    request: HttpRequest, content: str | bytes, content_type: str, *, vary: str = ""
) -> HttpResponseBase:
    """Answer with content that was made for this request; 304 if the caller has the same already."""
    document = of(content, content_type, is_lasting=False)
    return answer(request, document, vary=vary, cache_control=PRIVATE)


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header takes gzip, by name or as `*` (RFC 9110, 12.5.3)."""
    weights = {}
    for choice in header.lower().split(","):
        name, _, weight = choice.partition(";")
        weights[name.strip()] = weight.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return not REFUSED.fullmatch(weight)
