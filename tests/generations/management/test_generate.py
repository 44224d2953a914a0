"""The `generate` command sends what its options give, in the fields that the model has.

tests/story/test_story.py runs the command beside the real processes.
"""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generations.management.commands import generate
from generations.models import Generation
from tests.support.factories import Caller

URL = "https://example.com/a.png"


@pytest.fixture
def service(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Let the command call the application as Alice. It does not wait for the end."""

    def call(self: Any, path: str, body: bytes | None = None) -> dict[str, Any]:
        send = alice.http.get(path) if body is None else alice.http.post(path, body, content_type="application/json")
        answer: dict[str, Any] = send.json()
        if send.status_code >= 400:
            raise CommandError(answer["detail"])
        return answer

    ended = {"status": "cancelled", "error": {"message": "it was not waited for"}}
    monkeypatch.setattr(generate.Service, "call", call)
    monkeypatch.setattr(generate, "_wait", lambda service, generation: {**generation, **ended})
    return alice


def created_by(*arguments: str) -> Generation:
    """Run the command and return the generation that it created."""
    with pytest.raises(CommandError, match="it was not waited for"):
        call_command("generate", *arguments)
    return Generation.objects.latest("created_at")


def values_of(row: Generation) -> dict[str, Any]:
    return {name: value for name, value in row.request_values.items() if value not in (None, "")}


def test_the_default_models_defaults(service: Caller) -> None:
    row = created_by(URL)
    assert row.model == "seedance-v1-lite-i2v"
    assert (row.resolution, row.aspect_ratio, row.duration, row.camera_fixed) == ("720p", "16:9", 5, False)
    assert (row.image_url, row.prompt, row.seed_source) == (URL, "", "drawn")


def test_all_options_of_an_image_to_video_model(service: Caller) -> None:
    options = ["--prompt", "The tide", "--resolution", "1080p", "--aspect-ratio", "1:1", "--duration", "10"]
    row = created_by(URL, *options, "--last-image", f"{URL}?2", "--camera-fixed", "--seed", "42")
    expected = {"prompt": "The tide", "resolution": "1080p", "aspect_ratio": "1:1", "duration": 10}
    assert values_of(row) == {**expected, "camera_fixed": True, "seed": 42}
    assert row.last_image_url == f"{URL}?2"


def test_a_text_to_video_model_needs_no_image(service: Caller) -> None:
    arguments = ["--model", "kling-v3.0-std-t2v", "--prompt", "Gulls cry", "--negative-prompt", "rain", "--audio"]
    row = created_by(*arguments, "--set", "cfg_scale=0.25", "--duration", "3")
    assert (row.model, row.image, row.image_url, row.resolution) == ("kling-v3.0-std-t2v", None, "", None)
    assert row.parameters == {"negative_prompt": "rain", "audio": True, "cfg_scale": 0.25}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("prompt=5", ("prompt", "5")),
        ("duration=5", ("duration", 5)),
        ("audio=true", ("audio", True)),
        ("mode=fast", ("mode", "fast")),
        ("mode=5", ("mode", 5)),
        ("size=5", ("size", "5")),
        ("prompt=a=b", ("prompt", "a=b")),
        ("audio=yes", ("audio", "yes")),
        ("unknown=x", ("unknown", "x")),
    ],
)
def test_a_field_is_read_as_the_model_takes_it(text: str, field: tuple[str, Any]) -> None:
    properties: dict[str, Any] = {
        "prompt": {"type": "string"},
        "duration": {"enum": [5, 10, None]},
        "audio": {"type": ["boolean", "null"]},
        "mode": {"enum": ["fast", "best"]},
        "size": {"enum": ["5", "6"]},
    }
    assert generate._read_field(text, {"schema": {"properties": properties}}) == field


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([URL, "--model", "no-such-model"], "There is no such model"),
        ([URL, "--model", "../generations"], "There is nothing at this address"),
        ([URL, "--set", "x"], "--set x: write NAME=VALUE."),
        ([URL, "--set", "sped=2"], "seedance-v1-lite-i2v.*sped"),
        ([URL, "--audio"], "seedance-v1-lite-i2v.*audio"),
        (["--prompt", "x"], "image"),
        ([URL, "--model", "kling-v3.0-std-t2v", "--prompt", "x"], "kling-v3.0-std-t2v.*image"),
        ([URL, "--duration", "7"], "duration"),
    ],
    ids=["unknown model", "path", "no =", "unknown field", "no sound", "no image", "an image too many", "duration"],
)
def test_what_the_model_does_not_take_is_said_in_a_sentence(
    service: Caller, arguments: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("generate", *arguments)
    assert not Generation.objects.exists()


def test_the_last_line_names_no_seed_where_there_is_none(
    service: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "_wait", lambda service, generation: {**generation, "status": "succeeded"})
    monkeypatch.setattr(generate, "_save", lambda *args: None)
    output = str(tmp_path / "v.mp4")
    call_command("generate", URL, "--model", "kling-v3.0-std-i2v", "--prompt", "x", "-o", output)
    assert capsys.readouterr().out == f"{output}  0.420000 USD\n"
    call_command("generate", URL, "--seed", "7", "-o", output)
    assert capsys.readouterr().out == f"{output}  seed 7  0.186873 USD\n"
