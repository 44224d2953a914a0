"""Tests of how a body is read: compressions are undone within the limit or refused by name; other names say nothing."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.outbound import fetch, response_body
from generations.outbound.errors import BodyUndecodable, FetchFailed, FetchTooLarge
from generations.outbound.transport import Response
from tests.support.upstream import Upstream

LIMIT = 1_000_000
TEXT = b'{"task_id": "one"}' * 100


def raw_deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush()


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "DEFLATE": raw_deflate(TEXT),
    "GZip": gzip.compress(TEXT[:700]) + gzip.compress(TEXT[700:]),
    "gzip ": gzip.compress(TEXT) + b"what follows the end",
    " gzip": gzip.compress(TEXT) + b"\x1f",
    "aws-chunked,gzip": gzip.compress(TEXT),
    "gzip,, identity,": gzip.compress(TEXT),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
    "x-gzip,x-gzip": gzip.compress(gzip.compress(TEXT)),
}
NO_COMPRESSION = ["", "identity", "Identity", "aws-chunked", "AWS-Chunked", "aws-chunked, identity", ",", " , ", "none"]
NO_COMPRESSION += ["utf-8", "UTF-8", "binary", "base64", "8bit", "aws-chunked,aws-chunked", "image/png", "null"]
UNREADABLE = ["br", "BR", "zstd", "compress", "x-compress", "aws-chunked,br", "gzip, br", "br, gzip", "xz", "bzip2"]


def answer(encoding: str, content: bytes, size: int = 65_536) -> Response:
    """Return an answer whose body comes in chunks of `size` bytes."""
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return Response(200, httpx.Headers({"Content-Encoding": encoding}), pieces)


@pytest.mark.parametrize("size", [1, 2, 3, 65_536])
@pytest.mark.parametrize("encoding", PACKED)
def test_a_compressed_body_is_unpacked_however_it_is_cut(encoding: str, size: int) -> None:
    assert response_body.read(answer(encoding, PACKED[encoding], size), LIMIT) == TEXT
    assert b"".join(response_body.stream(answer(encoding, PACKED[encoding], size), LIMIT)) == TEXT


@pytest.mark.parametrize("encoding", NO_COMPRESSION)
def test_a_name_that_means_no_compression_is_passed_over(upstream: Upstream, encoding: str) -> None:
    upstream.on_video = 200, {"Content-Encoding": encoding}, TEXT
    with fetch.open_url(f"{upstream.url}/", limit=LIMIT, deadline=5.0) as download:
        assert (download.length, b"".join(download.chunks)) == (len(TEXT), TEXT)


@pytest.mark.parametrize("encoding", UNREADABLE)
def test_a_compression_that_is_not_read_is_refused_by_its_name(upstream: Upstream, encoding: str) -> None:
    upstream.on_video = 200, {"Content-Encoding": encoding}, TEXT
    name = next(name for name in response_body.UNREADABLE if name in encoding.lower().replace(",", " ").split())
    with pytest.raises(BodyUndecodable, match=f"with {name},"):
        fetch.read(f"{upstream.url}/", limit=LIMIT, deadline=5.0)
    with pytest.raises(BodyUndecodable) as caught:
        response_body.read(answer(encoding, TEXT), LIMIT)
    assert caught.value.received == TEXT


def test_the_names_may_stand_on_several_lines(upstream: Upstream) -> None:
    def lines(handler: Any) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: Deflate\r\nContent-Encoding: aws-chunked, GZIP\r\n"
        body = gzip.compress(zlib.compress(TEXT))
        handler.wfile.write(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    upstream.on_video = lines
    with fetch.open_url(f"{upstream.url}/", limit=LIMIT, deadline=5.0) as download:
        assert (download.length, b"".join(download.chunks)) == (None, TEXT)


def test_an_empty_body_is_empty_in_any_compression() -> None:
    for encoding in ("gzip", "deflate", "gzip, deflate"):
        assert response_body.read(answer(encoding, b""), LIMIT) == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "DEFLATE", "x-gzip,x-gzip", "GZip"])
def test_a_compressed_body_that_is_cut_off_is_refused(encoding: str) -> None:
    content = PACKED[encoding]
    for end in (1, 2, 15, len(content) // 3, len(content) - 1):
        with pytest.raises(BodyUndecodable) as caught:
            response_body.read(answer(encoding, content[:end]), LIMIT)
        assert caught.value.received == content[:end]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_not_compressed_as_it_says_is_refused(encoding: str) -> None:
    with pytest.raises(BodyUndecodable, match=f"not compressed with {encoding}"):
        list(response_body.stream(answer(encoding, TEXT), LIMIT))


def test_a_body_in_a_compression_in_a_compression_in_a_compression_is_refused() -> None:
    content = gzip.compress(gzip.compress(gzip.compress(TEXT)))
    with pytest.raises(BodyUndecodable, match="3 times"):
        response_body.read(answer("gzip, gzip, gzip", content), LIMIT)


def bomb(encoding: str) -> bytes:
    zeros = bytes(64 * LIMIT)
    return {"gzip": gzip.compress(zeros), "deflate": zlib.compress(zeros)}.get(encoding) or gzip.compress(
        gzip.compress(zeros)
    )


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip,gzip"])
@pytest.mark.parametrize("by", [response_body.read, lambda *args: list(response_body.stream(*args))])
def test_a_bomb_ends_at_the_limit_and_takes_no_memory(by: Any, encoding: str) -> None:
    response = answer(encoding, bomb(encoding))
    tracemalloc.start()
    try:
        with pytest.raises(FetchTooLarge):
            by(response, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


def test_the_limit_holds_for_the_body_as_it_comes_too() -> None:
    padding = (gzip.compress(b"") for _ in range(LIMIT))  # unpacked it is empty
    with pytest.raises(FetchTooLarge):
        list(response_body.stream(Response(200, httpx.Headers({"Content-Encoding": "gzip"}), padding), LIMIT))


def test_what_had_come_of_a_body_that_broke_off_is_told() -> None:
    def chunks() -> Iterator[bytes]:
        yield TEXT
        raise FetchFailed("cut")

    with pytest.raises(FetchFailed, match="cut") as caught:
        response_body.read(Response(200, httpx.Headers(), chunks()), LIMIT)
    assert caught.value.received == TEXT


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "raw"]), st.integers(1, 40), st.integers(1, 9))
def test_whatever_is_packed_comes_out_unchanged(content: bytes, how: str, size: int, level: int) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": lambda it, _: raw_deflate(it)}[how]
    encoding = "gzip" if how == "gzip" else "deflate"
    assert response_body.read(answer(encoding, pack(content, level), size), LIMIT) == content


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "gzip,deflate"]), st.integers(1, 40))
def test_no_bytes_raise_another_error(content: bytes, encoding: str, size: int) -> None:
    start = gzip.compress(b"some content")[:15] if encoding == "gzip" else b""
    for body in (content, start + content):
        with suppress(BodyUndecodable, FetchTooLarge):
            response_body.read(answer(encoding, body, size), LIMIT)
