"""A caller in one command: through the HTTP API, like every other service, and with nothing but a key."""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

POLL_EVERY = 1.0  # seconds
FINISHED = ("succeeded", "failed", "cancelled")
TROUBLE = 60.0  # seconds for which a service that does not answer is asked again


class Command(BaseCommand):
    help = "Make a video from a picture and save it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("image", help="a file or an https URL")
        parser.add_argument("--prompt", default="")
        parser.add_argument("--resolution", default="720p")
        parser.add_argument("--aspect-ratio", default="16:9")
        parser.add_argument("--duration", type=int, default=5, help="seconds")
        parser.add_argument("--last-image", help="the picture that the video ends on")
        parser.add_argument("--camera-fixed", action="store_true")
        parser.add_argument("--seed", type=int, help="the same seed and picture make the same video")
        parser.add_argument("--url", default=os.environ.get("SEEDANCE_URL", "http://127.0.0.1:8000"))
        parser.add_argument("--key", default=os.environ.get("SEEDANCE_API_KEY", ""))
        parser.add_argument("-o", "--output", type=Path, default=Path("out.mp4"))
        parser.add_argument("--poster", type=Path, help="save the first frame too, as JPEG")

    def handle(self, *args: Any, **options: Any) -> None:
        for path in (options["output"], options["poster"]):
            if path and not os.access(path.resolve().parent, os.W_OK):
                raise CommandError(f"{path} can not be written: its folder is not there, or not yours.")
        service = Service(options["url"].rstrip("/"), options["key"])
        generation = service.call("/v1/generations", json.dumps(_body(options)).encode())
        self.stderr.write(f"generation {generation['id']}")
        try:
            generation = _wait(service, generation)
        except KeyboardInterrupt as error:
            raise CommandError("No longer waited for; the service goes on with it.") from error
        if generation["status"] != "succeeded":
            raise CommandError(generation["error"]["message"])
        _save(generation, options["output"], options["poster"])
        self.stdout.write(f"{options['output']}  seed {generation['seed']}  {generation['price_usd']} USD")


def _wait(service: "Service", generation: dict[str, Any]) -> dict[str, Any]:
    columns = [TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")]
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(generation["status"], total=100)
        while generation["status"] not in FINISHED:
            time.sleep(POLL_EVERY)
            generation = service.get(generation["id"])
            progress.update(task, description=generation["status"], completed=generation["progress_percent"])
    return generation


class Service:
    """The service's own API, as a caller sees it."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def get(self, generation_id: str) -> dict[str, Any]:
        """Its row. A service that is being restarted is asked again for a while: the generation is durable."""
        ends = time.monotonic() + TROUBLE
        while True:
            try:
                return self.call(f"/v1/generations/{generation_id}")
            except Unreachable:
                if time.monotonic() > ends:
                    raise
                time.sleep(POLL_EVERY)

    def call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url + path, body, headers)
            with urllib.request.urlopen(request, timeout=120) as answer:
                row: dict[str, Any] = json.load(answer)
                return row
        except urllib.error.HTTPError as error:
            raise CommandError(_sentence(error)) from error
        except ValueError as error:
            raise CommandError(f"{self._url} is not the service's URL: {error}") from error
        except OSError as error:
            raise Unreachable(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from error


class Unreachable(CommandError):
    """Nobody answers at the service's address."""


def _sentence(error: urllib.error.HTTPError) -> str:
    """The server's own words, where they are problem details."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered HTTP {error.code}."


def _body(options: dict[str, Any]) -> dict[str, Any]:
    names = ("prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed")
    pictures = {"image": _picture(options["image"])}
    if options["last_image"]:
        pictures["last_image"] = _picture(options["last_image"])
    return {**pictures, **{name: options[name] for name in names}}


def _picture(text: str) -> str:
    if text.lower().startswith(("http://", "https://")):
        return text
    try:
        return base64.b64encode(Path(text).read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"{text} can not be read: {error.strerror}") from error


def _save(generation: dict[str, Any], output: Path, poster: Path | None) -> None:
    content = _download(generation["video"]["url"])
    if hashlib.sha256(content).hexdigest() != generation["video"]["sha256"]:
        raise CommandError("The video's bytes are not those that the service stored.")
    try:
        output.write_bytes(content)
        if poster:
            poster.write_bytes(_download(generation["poster"]["url"]))
    except OSError as error:
        raise CommandError(f"{error.filename} can not be written: {error.strerror}") from error


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            content: bytes = answer.read()
            return content
    except OSError as error:
        raise CommandError(f"The bucket does not give the file: {error}") from error
