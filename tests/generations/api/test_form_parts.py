"""A form is wholly understood, or refused by name: no part is dropped, and none is altered."""

import io
from mmap import mmap
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multipart import MultipartError
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from generations.api import multipart
from generations.api.form_parts import Part, PartParser, Unreadable, boundary_of, read_part
from generations.models import Generation
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, image_bytes

PATH = "/v1/generations"
IMAGE = image_bytes()
PNG = image_bytes(400, 320, "PNG")
B = "boundary"


class Sent(NamedTuple):
    """A part as it is sent: its Content-Disposition after `form-data`, its content and its other headers."""

    parameters: str
    content: bytes
    headers: tuple[str, ...] = ()


def encode(parts: list[Sent], *, preamble: bytes = b"", end: bytes = b"--\r\n", boundary: str = B) -> bytes:
    """Return the body of a form with these parts."""
    pieces = [preamble]
    for part in parts:
        lines = [f"--{boundary}", f"Content-Disposition: form-data{part.parameters}", *part.headers, "", ""]
        pieces += ["\r\n".join(lines).encode(), part.content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}".encode(), end])


def send(caller: Caller, content: bytes, kind: str = f"multipart/form-data; boundary={B}", path: str = PATH) -> Any:
    return caller.http.generic("POST", path, content, content_type=kind)


def parse(content: bytes, kind: str = f"multipart/form-data; boundary={B}") -> dict[str, Any]:
    request = Request(APIRequestFactory().generic("POST", PATH, content, content_type=kind))
    return multipart.FormParser().parse(io.BytesIO(content), kind, {"request": request})


def field(name: str, text: str) -> Sent:
    return Sent(f'; name="{name}"', text.encode())


def file(name: str = "image", filename: str = '; filename="a.jpg"', *headers: str, content: bytes = IMAGE) -> Sent:
    return Sent(f'; name="{name}"{filename}', content, headers)


RESOLUTION = field("resolution", "480p")

# How clients write the name of a file. Nothing of it is used.
FILE_NAMES = [
    *['filename=".."', 'filename="."', 'filename=""', 'filename="/"', 'filename="a/"', 'filename="../../etc/passwd"'],
    *[r'filename="C:\dir\a.png"', r'filename="a\"b.png"', 'filename="a%22b.png"', r'filename="\\"', 'filename=" "'],
    *["filename=a.png", "filename=my photo.png", "filename*=UTF-8''%e2%82%ac.png", "filename*=utf-8''a.png"],
    *["filename=\"=?utf-8?B?4oKsLnBuZw==?=\"; filename*=utf-8''%E2%82%AC.png", 'filename="\u20ac.png"'],
    *['filename="\0.png"', 'filename="a;b.png"', 'FileName="a.png"', 'filename="a.png";', f'filename="{"a" * 3000}"'],
]


@pytest.mark.parametrize("filename", FILE_NAMES, ids=ascii)
def test_a_file_is_read_whatever_its_name(filename: str) -> None:
    body = parse(encode([file(filename=f"; {filename}"), RESOLUTION]))
    assert isinstance(body["image"], mmap)
    assert (bytes(body["image"]), body["resolution"]) == (IMAGE, "480p")


@pytest.mark.parametrize(
    "part",
    [
        Sent("; name=image; filename=a.jpg", IMAGE),
        Sent("; filename=a.jpg; name=image", IMAGE),
        Sent(';name="image";filename="a.jpg"', IMAGE),
        Sent(' ; NAME="image" ; filename="a.jpg" ', IMAGE),
        Sent("; name*=utf-8''image; filename*=utf-8''a.jpg", IMAGE),
        Sent("; name=\"image\"; name*=UTF-8'en'image; filename=a", IMAGE),
        file("image", "", "Content-Type: image/jpeg"),
        file("image", "", "content-type: application/octet-stream"),
        file("image", '; filename="a"', "Content-Type: text/plain; charset=koi8-r"),
        file("image", '; filename="a"', "Content-Type: no type at all"),
        file("image", '; filename="a"', "Content-Transfer-Encoding: binary", f"Content-Length: {len(IMAGE)}"),
        file("image", '; filename="a"', "Content-Transfer-Encoding:  8BIT ", "X-Other: 1", "Content-ID: <a>"),
        Sent(';\r\n name="image"; filename="a"', IMAGE),
    ],
    ids=lambda part: str(part[::2]),
)
def test_a_file_is_known_by_its_headers(part: Sent) -> None:
    assert bytes(parse(encode([part]))["image"]) == IMAGE


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (field("prompt", "ein Sch\u00f6ner \U0001f3f0\r\n"), "ein Sch\u00f6ner \U0001f3f0\r\n"),
        (Sent('; name="prompt"', b"\xe4", ("Content-Type: text/plain; charset=ISO-8859-1",)), "\u00e4"),
        (Sent('; name="prompt"', b"a", ('Content-Type: TEXT/plain; Charset="US-ASCII"',)), "a"),
        (Sent('; name="prompt"', b"\xc3\xa4", ("Content-Type: application/octet-stream",)), "\u00e4"),
        (Sent('; name="prompt"', b"", ()), ""),
        (Sent('; name="prompt"', b"--boundar\r\n--boundar", ()), "--boundar\r\n--boundar"),
        (Sent('; name="metadata"', b'{"a": "b"}', ("Content-Type: application/json",)), {"a": "b"}),
        (Sent('; name="seed"', b"7", ("Content-Type: application/json; charset=utf-8",)), 7),
        (Sent("; name*=utf-8''metadata%5Bz%C3%BCrich%5D", b"1"), {"z\u00fcrich": "1"}),
        (Sent('; name="metadata[a%22b%0D%0A]"', b"1"), {'a"b\r\n': "1"}),
        (Sent('; name="metadata[100%]"', b"1"), {"100%": "1"}),
        (Sent('; name="metadata[z\u00fcrich]"', b"1"), {"z\u00fcrich": "1"}),
        (Sent('; name="metadata[a]b]"', b"1"), {"a]b": "1"}),
        (Sent('; name="image"', b"https://images.example.com/a.png"), "https://images.example.com/a.png"),
        *[(field("camera_fixed", text), True) for text in ("true", "True", "TRUE", "1")],
        *[(field("camera_fixed", text), False) for text in ("false", "False", "FALSE", "0")],
        *[(field("camera_fixed", text), text) for text in ("no", "yes", "on", "off", "", "t", "null", " true")],
    ],
    ids=lambda part: ascii(part)[:80],
)
def test_a_text_is_taken_as_its_charset_has_it(part: Sent, value: Any) -> None:
    [taken] = parse(encode([part])).values()
    assert (type(taken), taken) == (type(value), value)


PART_REFUSED = [
    (Sent('; name="prompt"', b"\xff"), "prompt"),
    (Sent('; name="prompt"', b"\xed\xa0\x80"), "prompt"),
    (Sent('; name="prompt"', b"\xe4", ("Content-Type: text/plain; charset=us-ascii",)), "prompt"),
    (Sent('; name="prompt"', b"a", ("Content-Type: text/plain; charset=x",)), "prompt"),
    (Sent('; name="prompt"', b"a\0", ("Content-Type: text/plain; charset=utf-16",)), "prompt"),
    (Sent('; name="prompt"', b"a", ("Content-Type: text/plain; charset=utf-7",)), "prompt"),
    (Sent('; name="prompt"', b"a", ("Content-Type: text/plain; format=flowed",)), "prompt"),
    (Sent('; name="prompt"', b"<p>", ("Content-Type: text/html",)), "prompt"),
    (Sent('; name="prompt"', b'"a"', ("Content-Type: application/json",)), "prompt"),
    (Sent('; name="prompt"', b"a", ("Content-Type: nonsense; ; ;",)), "prompt"),
    (Sent('; name="prompt"', b"YQ==", ("Content-Transfer-Encoding: base64",)), "prompt"),
    (Sent('; name="prompt"', b"=41", ("Content-Transfer-Encoding: quoted-printable",)), "prompt"),
    (file("last_image", '; filename="a"', "Content-Transfer-Encoding: base64", content=b"YQ=="), "last_image"),
    (file("last_image", '; filename="a"', "Content-Encoding: gzip"), "last_image"),
    (file("last_image", ""), "last_image"),  # neither a name nor a type: a text, and the bytes are none
    (file("last_image", '; filename=""', content=b""), "last_image"),
    (file("last_image", '; filename=".."', content=b""), "last_image"),
    (file("last_image", '; filename="a"', "Content-Type: multipart/mixed; boundary=c", content=b"--c--"), "last_image"),
    (file("prompt", '; filename="a.txt"', content=b"a"), "prompt"),
    (file("image", "; filename*=utf-8''a"), "image"),  # the second of that name
    (field("resolution", "480p"), "resolution"),
    (field("metadata", '{"a": "1", "a": "2"}'), "metadata"),
    (field("metadata", '{"a": "1", "\\u0061": "2"}'), "metadata"),
    (field("metadata", '{"a": NaN}'), "metadata"),
    (field("metadata", '{"a": "\\ud800"}'), "metadata"),
    (field("metadata", '{"a": "1"} {}'), "metadata"),
    (field("metadata", ""), "metadata"),
    (field("metadata", "null"), "metadata"),
    (field("metadata[order", "1"), "metadata[order"),
    (field("metadata[a][b]", "1"), "metadata[a][b]"),
    (field("extra", '{"webhook": {"url": "https://a.example"}}'), "extra"),
    (field("_charset_", "utf-8"), "_charset_"),
    (field("image[]", "a"), "image[]"),
    (field("Prompt", "a"), "Prompt"),
    (field("seed", "5.0"), "seed"),
    (field("seed", "1e3"), "seed"),
    (field("seed", "\u0665"), "seed"),
    (field("seed", "99999999999999999999"), "seed"),
    (field("camera_fixed", "no"), "camera_fixed"),
    (field("camera_fixed", ""), "camera_fixed"),
    (Sent("; name*=utf-8''last_image; filename=a", b"x"), "last_image"),
]


@pytest.mark.parametrize(("part", "name"), PART_REFUSED, ids=lambda part: ascii(part)[:90])
def test_a_part_that_is_not_understood_is_refused_by_name(alice: Caller, part: Sent, name: str) -> None:
    answer = send(alice, encode([file(), RESOLUTION, part]))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, name), answer.content
    assert not Generation.objects.exists()


LABELS = [field("metadata[a]", "1"), field("metadata", '{"a": "2"}')]

FORM_REFUSED = {
    "no name": encode([file(), RESOLUTION, Sent("", b"x")]),
    "an empty name": encode([file(), RESOLUTION, Sent('; name=""', b"x")]),
    "a file without a name": encode([file(), RESOLUTION, Sent('; filename="a"', b"x")]),
    "two names": encode([file(), RESOLUTION, Sent("; name=\"prompt\"; name*=utf-8''seed", b"7")]),
    "a name twice": encode([file(), RESOLUTION, Sent('; name="seed"; name="prompt"', b"7")]),
    "a backslash in a name": encode([file(), RESOLUTION, Sent(r'; name="metadata[a\b]"', b"7")]),
    "a name in an unknown charset": encode([file(), RESOLUTION, Sent("; name*=koi8-r''prompt", b"7")]),
    "a name that is not of its charset": encode([file(), RESOLUTION, Sent("; name*=utf-8''%ff", b"7")]),
    "an unknown parameter": encode([file(), RESOLUTION, Sent('; name="prompt"; lang="de"', b"7")]),
    "a name without its quote": encode([file(), RESOLUTION, Sent('; name="prompt', b"7")]),
    "no form-data": encode([file(), RESOLUTION]).replace(b"form-data", b"attachment"),
    "two dispositions": encode([file(), RESOLUTION, field("seed", "1")._replace(headers=("Content-Disposition: a",))]),
    "two types": encode([file("image", "", *["Content-Type: image/png"] * 2), RESOLUTION]),
    "no disposition": encode([file(), RESOLUTION]).replace(b"Content-Disposition: form-data", b"X-Other: a", 1),
    "no header": encode([file(), RESOLUTION]).replace(b"Content-Disposition: form-data; name", b"name", 1),
    "no last boundary": encode([file(), RESOLUTION], end=b""),
    "half a last boundary": encode([file(), RESOLUTION], end=b"-"),
    "another last boundary": encode([file(), RESOLUTION], end=b"x--"),
    "a cut part": encode([file(), RESOLUTION])[:-100],
    "a preamble": encode([file(), RESOLUTION], preamble=b"prompt=a\r\n"),
    "an epilogue": encode([file(), RESOLUTION], end=b"--\r\nprompt=a"),
    "two forms": encode([file(), RESOLUTION]) * 2,
    "another boundary": encode([file(), RESOLUTION], boundary="other"),
    "line feeds alone": encode([field("image", "https://a.example"), RESOLUTION]).replace(b"\r\n", b"\n"),
    "a header that is too long": encode([file(filename=f'; filename="{"a" * 9000}"'), RESOLUTION]),
    "too many headers": encode([file("image", "", *[f"X-{n}: a" for n in range(20)]), RESOLUTION]),
    "too many parts": encode([file(), RESOLUTION, *[field(f"metadata[{n}]", "x") for n in range(1001)]]),
    "a NUL in a header": encode([file(), RESOLUTION, field("prompt", "a")._replace(headers=("X-\0: a",))]),
    "a header that is no UTF-8": encode([file(), RESOLUTION]).replace(b"480p", b"480p").replace(b"resol", b"res\xff"),
    "a wrong length of a part": encode([file("image", '; filename="a"', "Content-Length: 3"), RESOLUTION]),
    "a label twice": encode([file(), RESOLUTION, LABELS[0], LABELS[0]]),
    "a label in both forms": encode([file(), RESOLUTION, *LABELS]),
}


@pytest.mark.parametrize("name", FORM_REFUSED)
def test_a_form_that_is_not_understood_is_refused(alice: Caller, name: str) -> None:
    answer = send(alice, FORM_REFUSED[name])
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), answer.content
    assert answer.json()["code"] in ("parse_error", "invalid_request")
    assert not Generation.objects.exists()


@pytest.mark.usefixtures("bucket")
def test_a_rerun_with_one_of_them_runs_nothing(alice: Caller) -> None:
    """The old image would run in the place of one that can not be read."""
    source = make_generation(alice, image=None, image_url="https://images.example.com/a.png")
    # These two parts are wrong only as the second ones of their names.
    understood = [encode([file("image", "; filename*=utf-8''a")]), encode([RESOLUTION])]
    for content in [*FORM_REFUSED.values(), *[encode([part]) for part, _ in PART_REFUSED]]:
        if content not in understood:
            answer = send(alice, content, path=f"{PATH}/{source.pk}/rerun")
            assert answer.status_code == 400, (content, answer.content)
    assert Generation.objects.count() == 1


@pytest.mark.usefixtures("bucket")
def test_a_rerun_with_a_file_of_an_odd_name_runs_that_file(alice: Caller) -> None:
    source = make_generation(alice, image=None, image_url="https://images.example.com/a.png")
    content = encode([file("last_image", '; filename=".."', content=PNG)])
    answer = send(alice, content, path=f"{PATH}/{source.pk}/rerun")
    assert (answer.status_code, answer.json()["last_image"]["format"]) == (202, "png")


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    "kind",
    [
        f"Multipart/Form-Data; Boundary={B}",
        f'MULTIPART/FORM-DATA;boundary="{B}"',
        f"multipart/form-data; charset=UTF-8; boundary={B}",
        f"multipart/form-data ; boundary={B} ; charset=utf-8;",
    ],
)
def test_the_media_type_may_be_in_any_case(alice: Caller, kind: str) -> None:
    assert send(alice, encode([file(), RESOLUTION]), kind).status_code == 202


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (f"multipart/form-data; boundary={B}; boundary=other", 400),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        (f"multipart/form-data; boundary={'b' * 201}", 400),
        ("multipart/form-data; boundary=other", 400),
        (f"multipart/mixed; boundary={B}", 415),
        (f"multipart/form-data; boundary={B}; charset=utf-16", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_another_content_type_is_refused(alice: Caller, kind: str, status: int) -> None:
    source = make_generation(alice)
    for path in (PATH, f"{PATH}/{source.pk}/rerun"):
        answer = send(alice, encode([file(), RESOLUTION]), kind, path)
        assert answer.status_code == status, answer.content
    assert Generation.objects.count() == 1


def test_a_blank_line_may_be_around_a_form() -> None:
    assert parse(encode([RESOLUTION], preamble=b"\r\n", end=b"--  \r\n\r\n")) == {"resolution": "480p"}


def read_in_pieces(content: bytes, size: int) -> list[Any]:
    parser, events = PartParser(B), list[Any]()
    for start in range(0, len(content), size):
        events += parser.events(content[start : start + size])
    parser.close()
    joined = list[Any]()
    for event in events:
        if isinstance(event, Part):
            joined.append([event, b""])
        elif event is not None:
            joined[-1][1] += event
    return joined


@pytest.mark.parametrize("name", ["a form", "a preamble", "an epilogue", "two forms", "half a last boundary"])
def test_it_does_not_matter_in_which_pieces_a_body_comes(name: str) -> None:
    a_form = encode([RESOLUTION, field("prompt", "--boundar\r\n--boundar")], preamble=b"\r\n", end=b"--\r\n\r\n")
    content = {"a form": a_form, **FORM_REFUSED}[name]
    outcomes = set()
    for size in [*range(1, 90), len(content)]:
        try:
            outcomes.add(repr(read_in_pieces(content, size)))
        except (MultipartError, Unreadable):
            outcomes.add("refused")
    assert len(outcomes) == 1
    assert (outcomes == {"refused"}) == (name != "a form")


NAMES = st.sampled_from(["image", "last_image", "prompt", "seed", "metadata", "metadata[a]", "external_id"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters='\\"%\r\n'), min_size=1, max_size=20
)
CONTENTS = st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
FILENAMES = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\\"\r\n'), max_size=20)
TYPES = st.sampled_from(["", "text/plain", "text/plain; charset=latin1", "text/plain; charset=x", "image/png"])
PARTS = st.lists(st.tuples(NAMES, FILENAMES, TYPES, CONTENTS), max_size=5)


@given(parts=PARTS, cut=st.integers(0, 12), junk=st.binary(max_size=3))
@example(parts=[("last_image", "..", "", b"x")], cut=0, junk=b"")
@settings(max_examples=400, deadline=None)
def test_any_form_is_wholly_understood_or_refused(parts: Any, cut: int, junk: bytes) -> None:
    """Each part is found again in what the form means, with its bytes or with all of its text."""
    sent = []
    for name, filename, kind, content in parts:
        filename_parameter = "" if filename is None else f'; filename="{filename}"'
        sent.append(Sent(f'; name="{name}"{filename_parameter}', content, (f"Content-Type: {kind}",) if kind else ()))
    whole = encode(sent) + junk
    content = whole[: len(whole) - cut] if cut else whole
    try:
        body = parse(content)
    except (ParseError, ValidationError):
        return
    labels = {f"metadata[{name}]": text for name, text in body.get("metadata", {}).items()}
    assert len(body.keys() - {"metadata"}) + len(labels) >= len({name for name, *_ in parts} - {"metadata"})
    for name, _, kind, expected in parts:
        value = labels[name] if name.startswith("metadata[") and name.endswith("]") else body[name]
        if isinstance(value, mmap):
            assert bytes(value) == (expected or b"\0")
        elif isinstance(value, int):
            assert int(expected) == value
        elif name != "metadata":
            assert value.encode("latin-1" if "latin1" in kind else "utf-8") == expected


HEADER_TEXT = st.text("ab;=\"'*%\\ \t,:/[]name", max_size=40)


@given(disposition=HEADER_TEXT, kind=st.none() | HEADER_TEXT)
@settings(max_examples=400, deadline=None)
def test_any_header_gives_a_part_or_a_refusal(disposition: str, kind: str | None) -> None:
    headers = [("Content-Disposition", f"form-data{disposition}")]
    try:
        part = read_part(headers + ([("Content-Type", kind)] if kind is not None else []))
    except (Unreadable, ValidationError):
        return
    assert part.name
    assert "name" in disposition.lower()


@pytest.mark.parametrize("text", ['"' + "\\" * 4000, '; a="' + '\\"' * 2000, "; a=b" * 900 + '"', ";" * 4000])
def test_a_hostile_header_is_read_in_linear_time(text: str) -> None:
    with pytest.raises((Unreadable, ValidationError)):
        read_part([("Content-Disposition", f"form-data; name=prompt{text}")])


def test_a_boundary_is_taken_as_it_is_written() -> None:
    assert boundary_of('multipart/form-data; boundary="a\'()+_,-./:=? b"') == "a'()+_,-./:=? b"


@pytest.mark.usefixtures("bucket")
def test_a_text_image_of_a_form_may_be_base64(alice: Caller) -> None:
    answer = send(alice, encode([field("image", base64_of(IMAGE)), RESOLUTION]))
    assert (answer.status_code, answer.json()["image"]["format"]) == (202, "jpeg")


# The headers of a form, of a text and of a file, as the clients write them.
CLIENTS = {
    "curl": (f"multipart/form-data; boundary={B}", "", 'filename="a.jpg"', "Content-Type: image/jpeg"),
    "requests, httpx": (f"multipart/form-data; boundary={B}", "", 'filename="a.jpg"', ""),
    "aiohttp": (
        f"multipart/form-data; boundary={B}",
        "Content-Type: text/plain; charset=utf-8",
        "filename=\"a.jpg\"; filename*=utf-8''a.jpg",
        "Content-Type: image/jpeg",
    ),
    "a browser, axios": (f"multipart/form-data; boundary={B}", "", 'filename="blob"', "Content-Type: image/jpeg"),
    "Go": (f"multipart/form-data; boundary={B}", "", 'filename="a.jpg"', "Content-Type: application/octet-stream"),
    "OkHttp": (
        f"multipart/form-data; boundary={B}",
        "Content-Length: LENGTH\r\nContent-Transfer-Encoding: binary\r\nContent-Type: text/plain; charset=utf-8",
        'filename="a.jpg"',
        f"Content-Type: image/jpeg\r\nContent-Length: {len(IMAGE)}",
    ),
    "Apache HttpClient": (
        f"multipart/form-data; boundary={B}; charset=UTF-8",
        "Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit",
        'filename="a.jpg"',
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary",
    ),
    ".NET": (
        f'multipart/form-data; boundary="{B}"',
        "Content-Type: text/plain; charset=utf-8",
        "filename=a.jpg; filename*=utf-8''a.jpg",
        "",
    ),
    "Guzzle": (
        f"multipart/form-data; boundary={B}",
        "Content-Length: LENGTH",
        'filename="a.jpg"',
        f"Content-Length: {len(IMAGE)}\r\nContent-Type: image/jpeg",
    ),
    "Ruby": (
        f"multipart/form-data; boundary={B}",
        "",
        'filename="a.jpg"',
        "Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary",
    ),
    "Dart": (
        f"multipart/form-data; boundary={B}",
        "content-type: text/plain; charset=utf-8\r\ncontent-transfer-encoding: binary",
        'filename="a.jpg"',
        "content-type: application/octet-stream",
    ),
}


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("client", CLIENTS)
def test_the_forms_of_common_clients_are_read(alice: Caller, client: str) -> None:
    kind, of_text, filename, of_file = CLIENTS[client]
    texts = {"resolution": "480p", "seed": "7", "camera_fixed": "true", "metadata[order]": "4711", "prompt": "a ship"}
    quote = "" if client == ".NET" else '"'
    parts = [
        Sent(
            f"; name={quote}{name}{quote}", text.encode(), (of_text.replace("LENGTH", str(len(text))),) * bool(of_text)
        )
        for name, text in texts.items()
    ]
    parts.append(Sent(f"; name={quote}image{quote}; {filename}", IMAGE, (of_file,) * bool(of_file)))
    answer = send(alice, encode(parts), kind)
    assert answer.status_code == 202, answer.content
    row = answer.json()
    taken = [row[name] for name in ("resolution", "seed", "camera_fixed", "metadata", "prompt")]
    assert taken == ["480p", 7, True, {"order": "4711"}, "a ship"]
