"""The `generate` command: create a video through the HTTP API, as any other caller does, and save it.

The command needs only an API key: it uses neither the database nor the credentials of the bucket.
"""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from generations.catalog.video_models import DEFAULT_ID

POLL_INTERVAL_SECONDS = 1.0
FINISHED = ("succeeded", "failed", "cancelled")
MAX_OUTAGE_SECONDS = 60.0  # a service that does not answer is tried again for so long


class Command(BaseCommand):
    help = "Create a video, from an image or from a text alone, and save it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the fields of a create, and where to save the files."""
        parser.add_argument("image", nargs="?", help="a file or an https URL; none for a model from text to video")
        parser.add_argument("--model", default=DEFAULT_ID, help=f"its id, as GET /v1/models lists it ({DEFAULT_ID})")
        parser.add_argument("--prompt")
        parser.add_argument("--negative-prompt", help="what the video must not show")
        parser.add_argument("--resolution", help="without it, one that the model offers")
        parser.add_argument("--aspect-ratio")
        parser.add_argument("--duration", type=int, help="seconds")
        parser.add_argument("--last-image", help="the image that the video ends on")
        parser.add_argument("--camera-fixed", action="store_true", default=None)
        parser.add_argument("--audio", action="store_true", default=None, help="with sound")
        parser.add_argument("--seed", type=int, help="the same seed and image make the same video")
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="any other field of the model"
        )
        parser.add_argument("--url", default=os.environ.get("SEEDANCE_URL", "http://127.0.0.1:8000"))
        parser.add_argument("--key", default=os.environ.get("SEEDANCE_API_KEY", ""))
        parser.add_argument("-o", "--output", type=Path, default=Path("out.mp4"))
        parser.add_argument("--poster", type=Path, help="save the first frame too, as JPEG")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the generation, wait for its end, and save the video. Raise CommandError."""
        for path in (options["output"], options["poster"]):
            if path and not os.access(path.resolve().parent, os.W_OK):
                raise CommandError(f"{path} can not be written: its folder does not exist, or you may not write there.")
        service = Service(options["url"].rstrip("/"), options["key"])
        model = service.call(f"/v1/models/{urllib.parse.quote(options['model'], safe='')}")
        generation = service.call("/v1/generations", json.dumps(_body(options, model)).encode())
        self.stderr.write(f"generation {generation['id']}")
        try:
            generation = _wait(service, generation)
        except KeyboardInterrupt as error:
            raise CommandError("Stopped waiting. The service goes on with the generation.") from error
        if generation["status"] != "succeeded":
            raise CommandError(generation["error"]["message"])
        _save(generation, options["output"], options["poster"])
        seed = "" if generation["seed"] is None else f"seed {generation['seed']}  "
        self.stdout.write(f"{options['output']}  {seed}{generation['price_usd']} USD")


def _wait(service: "Service", generation: dict[str, Any]) -> dict[str, Any]:
    """Show the progress until the generation has finished. Return its last state."""
    columns = [TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")]
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(generation["status"], total=100)
        while generation["status"] not in FINISHED:
            time.sleep(POLL_INTERVAL_SECONDS)
            generation = service.get(generation["id"])
            progress.update(task, description=generation["status"], completed=generation["progress_percent"])
    return generation


class Service:
    """The service's native API."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def get(self, generation_id: str) -> dict[str, Any]:
        """Return a generation. While the service restarts, try again for MAX_OUTAGE_SECONDS, then raise Unreachable."""
        ends = time.monotonic() + MAX_OUTAGE_SECONDS
        while True:
            try:
                return self.call(f"/v1/generations/{generation_id}")
            except Unreachable:
                if time.monotonic() > ends:
                    raise
                time.sleep(POLL_INTERVAL_SECONDS)

    def call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Send one request and return the JSON of its answer. Raise CommandError, or Unreachable without an answer."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url + path, body, headers)
            with urllib.request.urlopen(request, timeout=120) as answer:
                fields: dict[str, Any] = json.load(answer)
                return fields
        except urllib.error.HTTPError as error:
            raise CommandError(_error_message(error)) from error
        except ValueError as error:
            raise CommandError(f"{self._url} is not the service's URL: {error}") from error
        except OSError as error:
            raise Unreachable(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from error


class Unreachable(CommandError):
    """No server answers at the service's address."""


def _error_message(error: urllib.error.HTTPError) -> str:
    """Return the detail of the problem details, or the HTTP status if the answer has none."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered HTTP {error.code}."


def _body(options: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the create: what the options give. `model` is the model's page. Raise CommandError.

    Without a resolution, where the model requires one, it is the middle one of those that the model offers.
    """
    names = ("prompt", "negative_prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "audio", "seed")
    images = {name: _encode_image(options[name]) for name in ("image", "last_image") if options[name]}
    fields = {name: options[name] for name in names if options[name] is not None}
    resolutions = model["supported_resolutions"]
    if "resolution" in model["schema"]["required"]:
        fields.setdefault("resolution", resolutions[len(resolutions) // 2])
    return {"model": model["id"], **images, **fields, **dict(_read_field(text, model) for text in options["set"])}


def _read_field(text: str, model: dict[str, Any]) -> tuple[str, Any]:
    """Return name and value of NAME=VALUE: a text where the model's field takes texts, and JSON for any other.

    Raise CommandError if there is no `=`. The service refuses a name or a value that the model does not take.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"--set {text}: write NAME=VALUE.")
    schema = model["schema"]["properties"].get(name, {})
    if "string" in schema.get("type", ()) or value in schema.get("enum", ()):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _encode_image(text: str) -> str:
    """Return a URL as it is, and the content of a file as Base64. Raise CommandError if the file cannot be read."""
    if text.lower().startswith(("http://", "https://")):
        return text
    try:
        return base64.b64encode(Path(text).read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"{text} can not be read: {error.strerror}") from error


def _save(generation: dict[str, Any], output: Path, poster: Path | None) -> None:
    """Save the video, and the poster if there is a path for it. Raise CommandError."""
    content = _download(generation["video"]["url"])
    if hashlib.sha256(content).hexdigest() != generation["video"]["sha256"]:
        raise CommandError("The downloaded video has another SHA-256 than the video that the service stored.")
    try:
        output.write_bytes(content)
        if poster:
            poster.write_bytes(_download(generation["poster"]["url"]))
    except OSError as error:
        raise CommandError(f"{error.filename} can not be written: {error.strerror}") from error


def _download(url: str) -> bytes:
    """Return the content behind a signed URL. Raise CommandError."""
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            content: bytes = answer.read()
            return content
    except OSError as error:
        raise CommandError(f"The file cannot be read from the bucket: {error}") from error
