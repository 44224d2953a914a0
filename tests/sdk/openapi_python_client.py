"""Drive a Python client that openapi-python-client generated: `python openapi_python_client.py URL KEY IMAGE_FILE`.

The program prints one JSON line with what it received. tests/contract/generated_clients.py generates the client and
checks the line.
"""

import base64
import hashlib
import io
import json
import sys
from pathlib import Path
from uuid import UUID

import httpx
from seedance_client import AuthenticatedClient
from seedance_client.api.generations import generations_create, generations_get, generations_list
from seedance_client.api.novita import novita_seedance_v1_lite_i2v, novita_task_result
from seedance_client.models import (
    Duration,
    Generation,
    GenerationCreate,
    GenerationCreateForm,
    GenerationList,
    GenerationStatus,
    Metadata,
    NovitaCreate,
    NovitaResolution,
    NovitaTaskId,
    NovitaTaskResult,
    NovitaTaskStatus,
    Problem,
    Resolution,
    Video,
    VideoModel,
)
from seedance_client.types import File

MAX_READS = 10  # of up to 10 s each


def wait(client: AuthenticatedClient, generation_id: UUID) -> Generation:
    """Return the generation once it has ended."""
    for _ in range(MAX_READS):
        generation = generations_get.sync(generation_id, client=client, prefer="wait=10")
        assert isinstance(generation, Generation), generation
        if generation.finished_at:
            return generation
    raise TimeoutError(f"{generation_id} does not end.")


def create_from_json(client: AuthenticatedClient, image: bytes) -> Generation:
    """Create a generation from Base64 in JSON, and return the generation once it has ended."""
    body = GenerationCreate(
        image=base64.b64encode(image).decode(),
        resolution=Resolution.RESOLUTION_480P,
        duration=Duration.SECONDS_5,
        camera_fixed=True,
        metadata=Metadata.from_dict({"client": "openapi-python-client"}),
    )
    created = generations_create.sync(client=client, body=body, idempotency_key="openapi-python-client")
    assert isinstance(created, Generation), created
    return wait(client, created.id)


def create_from_form(client: AuthenticatedClient, image: bytes) -> Generation:
    """Create a generation from a file in a form."""
    body = GenerationCreateForm(
        image=File(payload=io.BytesIO(image), file_name="image.jpg", mime_type="image/jpeg"),
        resolution=Resolution.RESOLUTION_480P,
        camera_fixed=True,
        metadata=Metadata.from_dict({"client": "openapi-python-client form"}),
    )
    created = generations_create.sync(client=client, body=body)
    assert isinstance(created, Generation), created
    return created


def create_with_sound(client: AuthenticatedClient) -> Generation:
    """Create a generation of a text, with sound, and return the generation once it has ended."""
    body = GenerationCreate(
        model=VideoModel.KLING_V3_0_STD_T2V,
        prompt="Waves break on the rocks",
        duration=Duration.SECONDS_3,
        audio=True,
    )
    created = generations_create.sync(client=client, body=body)
    assert isinstance(created, Generation), created
    return wait(client, created.id)


def ids_with(client: AuthenticatedClient, label: str) -> list[str]:
    """Return the ids of the generations whose metadata has this NAME=VALUE."""
    page = generations_list.sync(client=client, metadata=[label])
    assert isinstance(page, GenerationList), page
    return [str(generation.id) for generation in page.generations]


def create_by_novita(client: AuthenticatedClient, image: bytes) -> NovitaTaskStatus:
    """Create a generation in Novita's format, and return the status of the task once it has ended."""
    body = NovitaCreate(image=base64.b64encode(image).decode(), resolution=NovitaResolution.RESOLUTION_480P)
    task = novita_seedance_v1_lite_i2v.sync(client=client, body=body)
    assert isinstance(task, NovitaTaskId), task
    wait(client, task.task_id)
    result = novita_task_result.sync(client=client, task_id=task.task_id)
    assert isinstance(result, NovitaTaskResult), result
    return result.task.status


def main(url: str, key: str, file: str) -> None:
    """Create, wait, download, list and be refused; print the outcome."""
    image = Path(file).read_bytes()
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        generation, form = create_from_json(client, image), create_from_form(client, image)
        sound = create_with_sound(client)
        assert isinstance(generation.video, Video), generation
        assert generation.status is GenerationStatus.SUCCEEDED
        refusal = generations_get.sync(UUID(int=0), client=client)
        assert isinstance(refusal, Problem), refusal
        outcome = {
            "sha256": generation.video.sha256,
            "downloaded": hashlib.sha256(httpx.get(generation.video.url).raise_for_status().content).hexdigest(),
            "id": str(generation.id),
            "listed": ids_with(client, "client=openapi-python-client"),
            "form_id": str(form.id),
            "form_camera_fixed": form.camera_fixed,
            "form_listed": ids_with(client, "client=openapi-python-client form"),
            "sound": [sound.status.value, sound.audio, sound.duration, sound.resolution, sound.image],
            "novita": create_by_novita(client, image).value,
            "refusal": refusal.code,
        }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
