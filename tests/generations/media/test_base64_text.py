"""Base64 and data URIs are read as RFC 2397, browsers and common libraries write them, and are never misread."""

import base64
import binascii
import textwrap
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.api import json_codec
from generations.media import base64_text
from tests.support.images import image_bytes

CONTENT = image_bytes(400, 320, "PNG") + b"\xfb\xef\xff\xfe"  # of which Base64 has both `+` and `/`
RAW = base64.b64encode(CONTENT).decode()
LIMIT = 10**6


def lines(width: int, end: str, text: str = RAW) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "MIME, 76 characters": lambda text: lines(76, "\r\n", text) + "\r\n",
    "PEM, 64 characters": lambda text: lines(64, "\n", text) + "\n",
    "one long line, then short ones": lambda text: text[:5000] + "\n" + lines(76, "\n", text[5000:]),
    "one character a line": lambda text: lines(1, "\n", text),
    "lines that are no groups of four": lambda text: lines(61, "\r\n", text),
    "indented lines": lambda text: textwrap.indent(lines(76, "\n", text), "    \t"),
    "lines with blanks at their ends": lambda text: lines(76, "  \r\n", text),
    "carriage returns": lambda text: lines(60, "\r", text),
    "folded by YAML": lambda text: lines(76, " ", text),
    "blanks around it": lambda text: f" \n\t{text} \r\n",
    "URL-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "URL-safe, without padding": lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    "without padding": lambda text: text.rstrip("="),
    "percent-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "percent-encoded lines": lambda text: urllib.parse.quote(lines(76, "\r\n", text), safe=""),
    "percent-encoded in lower case": lambda text: text.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d"),
}
HEADS = {
    "none": "",
    "RFC 2397": "data:image/png;base64,",
    "upper case": "DATA:IMAGE/PNG;BASE64,",
    "no type": "data:;base64,",
    "a blank behind the comma": "data:image/png;base64, ",
    "blanks in the head": "data: image/png; base64 ,",
    "a parameter": "data:image/png;charset=utf-8;base64,",
    "a name": "data:image/png;name=a%2Cb.png;base64,",
    "a quoted name": 'data:image/png;name="a,b;base64,.png";base64,',
    "SVG's type": "data:image/svg+xml;base64,",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("way", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("extra", [b"", b"\xff", b"\xff\xfe"], ids=["==", "=", "no padding"])
def test_each_way_to_write_it_is_read(way: Callable[[str], str], head: str, extra: bytes) -> None:
    content = CONTENT + extra
    text = head + way(base64.b64encode(content).decode())
    assert base64_text.decode(text, LIMIT) == content
    assert base64_text.decode(memoryview(text.encode()), LIMIT) == content


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png," + urllib.parse.quote_from_bytes(CONTENT),
        "data:," + urllib.parse.quote_from_bytes(CONTENT, safe=""),
        "data:image/png;charset=utf-8," + "".join(f"%{byte:02x}" for byte in CONTENT),
    ],
    ids=["quoted", "no type", "every byte"],
)
def test_a_data_uri_need_not_be_base64(text: str) -> None:
    assert base64_text.decode(text, LIMIT) == CONTENT


def test_what_libraries_write_is_read() -> None:
    """Python, Java's MIME encoder, Ruby's `encode64` (60 characters), PHP's `chunk_split`, Go's `RawURLEncoding`."""
    ways = [base64.encodebytes(CONTENT).decode(), binascii.b2a_base64(CONTENT).decode(), lines(60, "\n") + "\n"]
    ways += [lines(76, "\r\n") + "\r\n", base64.urlsafe_b64encode(CONTENT).decode().rstrip("=")]
    assert [base64_text.decode(way, LIMIT) for way in ways] == [CONTENT] * 5


@pytest.mark.parametrize(
    "text",
    [
        *[
            RAW[:400] + wrong + RAW[400:]
            for wrong in ("*", "=", "A", " ", "\0", "\u00e4", "\u3000", "%", "%2", "%zz", ".")
        ],
        *[RAW.replace("+", " "), RAW.replace("+", "-", 1), RAW + "A", RAW + "====", RAW.rstrip("=") + "===", "A"],
        *["data:image/png;base64" + RAW, "data:image/png,base64," + RAW + "%", f"data:image/png;base64,{RAW}#a"],
        *[f'data:image/png;name="a;base64,{RAW}', f"data:{'a' * 2000};base64,{RAW}", f"data :;base64,{RAW}"],
        *[
            "data:image/png,%zz",
            "data:image/png;base64,data:image/png;base64,",
            "data:",
            f"url({RAW})",
            f'"{RAW}"',
        ],
        *[lines(76, "\n")[:500] + " " + lines(76, "\n")[500:], lines(75, " ")],
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_is_none_of_these_is_refused(text: str) -> None:
    with pytest.raises(base64_text.NotBase64):
        base64_text.decode(text, LIMIT)


@pytest.mark.parametrize("way", [*WRITTEN.values(), lambda text: "data:," + "%00" * 40], ids=[*WRITTEN, "bytes"])
def test_more_than_the_limit_is_refused_however_it_is_written(way: Callable[[str], str]) -> None:
    fits = base64.b64encode(bytes(range(30))).decode()
    assert len(base64_text.decode(way(fits), 200)) >= 30
    with pytest.raises(base64_text.TooLong):
        base64_text.decode(way(base64.b64encode(bytes(range(36))).decode()), 30)


@given(content=st.binary(min_size=1), width=st.integers(1, 90), end=st.sampled_from(["\n", "\r\n", "\r\n ", "\n\t"]))
def test_any_bytes_come_back(content: bytes, width: int, end: str) -> None:
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        text = alphabet(content).decode()
        for written in (text, text.rstrip("=")):
            assert base64_text.decode(lines(width, end, written), LIMIT) == content


@given(text=st.text('Aa+/-_=%2F \n,;:dat"', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        base64_text.decode(text, LIMIT)
    except base64_text.NotBase64:
        return
    assert text.isascii()


@pytest.mark.parametrize("way", WRITTEN.values(), ids=WRITTEN)
def test_a_json_body_may_hold_each_of_them(way: Callable[[str], str]) -> None:
    long = CONTENT * 200
    text = way(base64.b64encode(long).decode())
    body = json_codec.decode(b'{"image": ' + json_codec.msgspec.json.encode(text) + b"}")
    assert base64_text.decode(body["image"], 10**8) == long
