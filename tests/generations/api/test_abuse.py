"""Hostile JSON in both APIs: the same clear refusal on both databases, and nothing is stored."""

import gzip
import tracemalloc
from typing import Any

import msgspec
import pytest
from rest_framework.exceptions import ParseError

from generations.api import json_guard
from generations.models import Generation
from tests.support.factories import Caller
from tests.support.hostile import APIS, OWN, RIGHT, WIRE, Api, check_refused

pytestmark = pytest.mark.abuse

both = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def right(**fields: bytes) -> bytes:
    """Return the JSON of a valid create, with further fields as raw JSON."""
    return msgspec.json.encode(RIGHT)[:-1] + b"".join(b', "%b": %b' % (k.encode(), v) for k, v in fields.items()) + b"}"


def instead(name: str, value: bytes) -> bytes:
    """Return the JSON of a valid create, with another value of one field."""
    fields = {field: msgspec.Raw(msgspec.json.encode(text)) for field, text in RIGHT.items()}
    return msgspec.json.encode({**fields, name: msgspec.Raw(value)})


NO_JSON = {
    "nothing": b"",
    "white space": b" \n\t",
    "half": b'{"image": ',
    "a bracket too many": right() + b"}",
    "a list": b"[" + right() + b"]",
    "a string": b'"image"',
    "a number": b"7",
    "null": b"null",
    "a comment": b"/* */" + right(),
    "a last comma": right()[:-1] + b",}",
    "a bare NaN": b"NaN",
    "NaN": right(seed=b"NaN"),
    "Infinity": right(seed=b"Infinity"),
    "1_0": right(seed=b"1_0"),
    "hexadecimal": right(seed=b"0x10"),
    "a leading zero": right(seed=b"007"),
    "lists, nested": b"[" * 100_000,
    "lists, nested and closed": right(x=b"[" * 100_000 + b"]" * 100_000),
    "objects, nested": b'{"a":' * 100_000,
    "lists, less nested": right(x=b"[" * 10_000 + b"]" * 10_000),
    "objects, less nested": right(x=b'{"a":' * 2000 + b"1" + b"}" * 2000),
    "a lone surrogate": instead("image", b'"\\ud800"'),
    "a lone surrogate in an unknown field": right(x=b'["\\ud83d"]'),
    "a lone surrogate in a name": right(**{"\\ud800": b"1"}),
    "a surrogate in UTF-8": right(prompt=b'"\xed\xa0\x80"'),
    "invalid UTF-8": right(prompt=b'"\xff"'),
    "latin-1": right(prompt='"für"'.encode("latin-1")),
    "a NUL in a string": right(prompt=b'"\0"'),
    "a byte order mark": b"\xef\xbb\xbf" + right(),
    "UTF-16": right().decode().encode("utf-16"),
    "UTF-32": right().decode().encode("utf-32"),
    "a gzip bomb": gzip.compress(right() + b" " * 10_000_000),
    "many small values": b"[" + b"0," * 500_000 + b"0]",
    "many names": right(x=b"{" + b",".join(b'"%d":0' % number for number in range(50_000)) + b"}"),
    "many strings": right(x=b"[" + b'"",' * 100_000 + b'""]'),
    "many escaped quotes": right(x=b'"' + b'\\"' * 100_000 + b'"'),
    "a long name": right(**{"x" * 1_000_000: b"1"}),
    "a long string with one emoji": instead("image", b'"' + b"A" * 1_000_000 + "🚢".encode() + b'"'),
    "a long string with one escaped emoji": instead("image", b'"' + b"A" * 1_000_000 + b'\\ud83d\\udea2"'),
}
WRONG = {
    "a NUL in the image": ("image", b'"\\u0000"'),
    "a line break in a URL": ("image", b'"https://example.com/a.jpg\\r\\nX-Injected: 1"'),
    "a long URL": ("image", b'"https://example.com/' + b"a" * 1_000_000 + b'"'),
    "a NUL in the prompt": ("prompt", b'"a\\u0000b"'),
    "a NUL in a choice": ("resolution", b'"480p\\u0000"'),
    "a long prompt": ("prompt", b'"' + b"a" * 1_000_000 + b'"'),
    "a prompt of 2001 emoji": ("prompt", b'"' + "🚢".encode() * 2001 + b'"'),
    "true for a number": ("duration", b"true"),
    "true for a seed": ("seed", b"true"),
    "1 for true": ("camera_fixed", b"1"),
    "a seed of 2^31": ("seed", b"2147483648"),
    "a seed of 2^63": ("seed", b"9223372036854775808"),
    "a seed of 1.5": ("seed", b"1.5"),
    "a seed of 1e400": ("seed", b"1e400"),
    "a seed of 5000 digits": ("seed", b"9" * 5000),
    "a fraction of 5000 digits": ("seed", b"0." + b"5" * 5000),
    "a seed in a string": ("seed", b'"7"'),
    "1_0 in a string": ("seed", b'"1_0"'),
    "a list": ("image", b'["https://example.com/a.jpg"]'),
    "an object": ("resolution", b'{"480p": 1}'),
}


@both
@pytest.mark.parametrize("content", NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_no_fit_json_is_refused(alice: Caller, api: Api, content: bytes) -> None:
    check_refused(api, alice, api.send(alice, content))


@both
@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG)
def test_a_field_of_another_kind_is_named(alice: Caller, api: Api, name: str, value: bytes) -> None:
    said = check_refused(api, alice, api.send(alice, instead(name, value)))
    assert name in said or "The body is not JSON" in said  # a number that is none to the parser


@both
@pytest.mark.parametrize(
    ("body", "name"),
    [
        (right(resolution=b'"1080p"'), "resolution"),
        (right(resolution=b'"480p"'), "resolution"),
        (right(image=b'"https://example.com/a.jpg"'), "image"),
        (right(seed=b"1", **{"s\\u0065ed": b"1"}), "seed"),
        (right(extra=b'{"a": [1, {"b": 1, "c": "}\\"{\\\\", "b": 2}]}'), "b"),
        (right(extra=b'[{"": 1, "": 2}]'), '""'),
        (right(extra=b'{"n\xc3\xbcr": 1 , "n\\u00fcr"\t\n: 2}'), "nür"),
        (right(**{"x" * 900: b"1"})[:-1] + b', "' + b"x" * 900 + b'": 1}', "xxx"),
    ],
    ids=range(8),
)
def test_a_name_that_is_given_twice_is_named(alice: Caller, api: Api, body: bytes, name: str) -> None:
    said = check_refused(api, alice, api.send(alice, body))
    assert name in said
    assert "twice" in said


def test_the_same_name_in_two_objects_is_no_repetition(alice: Caller) -> None:
    body = right(extra=b'{"image": 1, "seed": {"seed": "seed"}, "list": [{"a": "a:"}, {"a": "\\\\"}], "b": "a"}')
    assert WIRE.send(alice, body).status_code == 200


@pytest.mark.parametrize("value", [b'"\\u0000"', b'{"\\u0000": ["\\u0000"]}', b"9" * 400, b"[" * 90 + b"]" * 90])
def test_an_unknown_field_is_ignored_by_the_novita_api_and_refused_by_the_native_one(
    alice: Caller, value: bytes
) -> None:
    assert "extra" in check_refused(OWN, alice, OWN.send(alice, right(extra=value)))
    assert WIRE.send(alice, right(extra=value)).status_code == 200


@pytest.mark.parametrize(
    "prompt", ["\u200d\u200b\ufeff", "\u202eright to left\u2066", "e\u0301", "\ufffe\uffff", "\r\n\t\x1b[2J"]
)
@both
def test_a_strange_prompt_is_stored_as_it_was_sent(alice: Caller, api: Api, prompt: str) -> None:
    assert api.send(alice, {**RIGHT, "prompt": prompt}).status_code == api.accepted
    assert Generation.objects.get().prompt == prompt


@both
def test_a_body_over_the_limit_is_refused(alice: Caller, api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(msgspec.json.encode(RIGHT))
    check_refused(api, alice, api.send(alice, right(x=b"1")), 413)


def test_unknown_fields_are_not_sent_back_at_length(alice: Caller) -> None:
    answer = OWN.send(alice, right(**{f"{number}{'x' * 900}": b"1" for number in range(900)}))
    check_refused(OWN, alice, answer)


@pytest.mark.parametrize("content", [b"[]," * 1_400_000, b'"",' * 1_400_000, b"0," * 2_000_000, b'{"":[' * 800_000])
def test_small_values_cost_no_memory_before_they_are_refused(content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ParseError):
        json_guard.check(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(content)
