"""POST /v1/generations as multipart/form-data: images as files, in constant memory."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from generations.bucket import objects
from generations.models import Generation, InputImage
from tests.support.factories import Caller
from tests.support.images import base64_of, image_bytes

pytestmark = [pytest.mark.usefixtures("bucket"), pytest.mark.one_database]
PATH = "/v1/generations"


def file(content: bytes | None = None, name: str = "a.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, image_bytes() if content is None else content, "image/jpeg")


def send(caller: Caller, fields: dict[str, Any], **headers: str) -> Any:
    return caller.http.post(PATH, fields, format="multipart", headers=headers)


def send_raw(caller: Caller, content: bytes, kind: str = MULTIPART_CONTENT) -> Any:
    return caller.http.generic("POST", PATH, content, content_type=kind)


def test_an_image_may_come_as_a_file_and_is_stored_as_it_came(alice: Caller) -> None:
    answer = send(alice, {"image": file(), "last_image": file(image_bytes(400, 320, "PNG")), "resolution": "480p"})
    assert answer.status_code == 202, answer.content
    row = answer.json()
    assert (row["image"]["format"], row["last_image"]["format"]) == ("jpeg", "png")
    image = InputImage.objects.get(sha256=row["image"]["sha256"])
    assert objects.read(image.key) == image_bytes()


def test_the_texts_of_a_form_mean_what_json_would_hold(alice: Caller) -> None:
    texts = {"seed": "42", "duration": "10", "camera_fixed": "true", "prompt": "a ship", "external_id": "order-1"}
    labels = {"metadata[order]": "4711", "metadata[team]": "web"}
    row = send(alice, {"image": file(), "resolution": "480p", **texts, **labels}).json()
    assert (row["seed"], row["duration"], row["camera_fixed"], row["prompt"]) == (42, 10, True, "a ship")
    assert (row["external_id"], row["metadata"]) == ("order-1", {"order": "4711", "team": "web"})
    whole = send(alice, {"image": file(), "resolution": "480p", "metadata": json.dumps({"order": "4711"})}).json()
    assert whole["metadata"] == {"order": "4711"}


KLING = {"model": "kling-v3.0-std-i2v", "prompt": "a ship"}


def test_the_texts_of_a_form_have_the_types_of_the_models_fields(alice: Caller) -> None:
    texts = {"duration": "7", "cfg_scale": "0.25", "audio": "True", "negative_prompt": "5"}
    answer = send(alice, {**texts, "image": file(), **KLING})
    assert answer.status_code == 202, answer.content
    row = answer.json()
    assert {name: row[name] for name in texts} == {
        "duration": 7,
        "cfg_scale": 0.25,
        "audio": True,
        "negative_prompt": "5",
    }
    assert (row["resolution"], row["seed"], row["seed_source"]) == (None, None, "none")


def test_the_texts_of_a_rerun_have_the_types_of_the_sources_model(alice: Caller) -> None:
    source = send(alice, {"image": file(), **KLING}).json()
    path = f"{PATH}/{source['id']}/rerun"
    again = alice.http.post(path, {"audio": "true", "cfg_scale": "1"}, format="multipart")
    assert again.status_code == 202, again.content
    assert (again.json()["audio"], again.json()["cfg_scale"], again.json()["model"]) == (True, 1, KLING["model"])
    other = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "camera_fixed": "1"}
    assert alice.http.post(path, other, format="multipart").json()["camera_fixed"] is True


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cfg_scale": "half"}, "cfg_scale"),
        ({"cfg_scale": "1.1"}, "cfg_scale"),
        ({"cfg_scale": "1e999"}, "cfg_scale"),
        ({"cfg_scale": "0x1"}, "cfg_scale"),
        ({"cfg_scale": ""}, "cfg_scale"),
        ({"audio": "loud"}, "audio"),
        ({"duration": "7.0"}, "duration"),
        ({"duration": "16"}, "duration"),
        ({"resolution": "720p"}, "resolution"),
        ({"seed": "1"}, "seed"),
        ({"prompt": ""}, "prompt"),
        ({"model": "no-such-model"}, "model"),
        ({"model": ""}, "model"),
    ],
)
def test_a_wrong_field_of_another_model_is_named(alice: Caller, wrong: dict[str, Any], field: str) -> None:
    answer = send(alice, {"image": file(), **KLING, **wrong})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert not Generation.objects.exists()


@pytest.mark.parametrize("image", ["https://images.example.com/a.png", base64_of(image_bytes())])
def test_an_image_of_a_form_may_be_a_text_too(alice: Caller, image: str) -> None:
    assert send(alice, {"image": image, "resolution": "480p"}).status_code == 202


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"seed": "4.2"}, "seed"),
        ({"seed": ""}, "seed"),
        ({"duration": "ten"}, "duration"),
        ({"camera_fixed": "yes"}, "camera_fixed"),
        ({"metadata": "[]"}, "metadata"),
        ({"metadata": '{"a": 1}'}, "metadata"),
        ({"metadata[]": "x"}, "metadata"),
        ({"metadata[a]": "\0"}, "metadata"),
        ({"sede": "1"}, "sede"),
        ({"seed": ["1", "2"]}, "seed"),
        ({"image": [file(), "https://images.example.com/a.png"]}, "image"),
        ({"prompt": file()}, "prompt"),
        ({"image": file(b"not an image")}, "image"),
        ({"image": file(b"")}, "image"),
        ({"image": file(image_bytes()[:-40])}, "image"),
        ({"last_image": file(image_bytes(200, 200))}, "last_image"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_created(alice: Caller, wrong: dict[str, Any], field: str) -> None:
    answer = send(alice, {"image": file(), "resolution": "480p", **wrong})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert not Generation.objects.exists()


def test_a_file_of_more_than_30_mb_is_refused(alice: Caller) -> None:
    answer = send(alice, {"image": file(b"\xff\xd8\xff" + bytes(31 * 1024**2)), "resolution": "480p"})
    assert answer.json()["errors"][0]["code"] == "image_too_many_bytes"


def test_a_large_file_takes_little_memory(alice: Caller) -> None:
    content = encode_multipart(BOUNDARY, {"image": file(b"\xff\xd8\xff" + bytes(29 * 1024**2)), "resolution": "480p"})
    tracemalloc.start()
    try:
        environ: dict[str, Any] = {"CONTENT_LENGTH": str(len(content)), "wsgi.input": io.BytesIO(content)}
        answer = alice.http.generic("POST", PATH, content_type=MULTIPART_CONTENT, **environ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"image_format_unknown" in answer.content
    assert peak < 4 * 1024**2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no form at all",
        f"--{BOUNDARY}\r\n".encode() * 2000,
        encode_multipart(BOUNDARY, {f"metadata[{n}]": "x" for n in range(1001)}),
        encode_multipart(BOUNDARY, {"image": [file() for _ in range(101)]}),
    ],
)
def test_a_body_that_is_no_form_is_a_400(alice: Caller, content: bytes) -> None:
    answer = send_raw(alice, content)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=a"]
)
def test_a_form_without_a_boundary_is_refused(alice: Caller, kind: str) -> None:
    assert send_raw(alice, b"x", kind).status_code in (400, 415)


@pytest.mark.parametrize("cut", [1, 200])
def test_a_form_that_is_cut_off_creates_nothing(alice: Caller, cut: int) -> None:
    content = encode_multipart(BOUNDARY, {"resolution": "480p", "image": file()})
    length = str(len(content))
    answer = alice.http.generic("POST", PATH, content[:-cut], content_type=MULTIPART_CONTENT, CONTENT_LENGTH=length)
    assert (answer.status_code, b"ended before" in answer.content) == (400, True)
    assert not Generation.objects.exists()


def test_the_same_form_with_the_same_key_creates_one_generation(alice: Caller) -> None:
    answers = [send(alice, {"image": file(), "resolution": "480p"}, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotent-Replayed"] == "true"
    other = send(alice, {"image": file(image_bytes(400, 320)), "resolution": "480p"}, **{"Idempotency-Key": "k"})
    assert other.status_code == 422


def test_the_novita_api_takes_json_alone(alice: Caller) -> None:
    answer = alice.http.post("/v3/async/seedance-v1-lite-i2v", {"image": file()}, format="multipart")
    assert (answer.status_code, answer.json()["reason"]) == (415, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("false", False), ("False", False)])
def test_a_boolean_may_be_written_as_json_or_python_writes_it(alice: Caller, text: str, value: bool) -> None:
    """Generated Python clients write `str(True)` into a form."""
    row = send(alice, {"image": file(), "resolution": "480p", "camera_fixed": text}).json()
    assert row["camera_fixed"] is value
