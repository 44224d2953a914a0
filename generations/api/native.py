"""Entrance 2: the service's own API under /v1/."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from generations import intake, storage
from generations.api import idempotency, lookup
from generations.api.gate import LargeBodies
from generations.api.serializers import NativeCreate
from generations.api.shapes import GenerationList, GenerationRow
from generations.models import Generation, InputImage
from tenants import ratelimit, windows
from tenants.entrance import View, key_of

PAGE = 50  # rows; a list answers with the newest


class Generations(LargeBodies):
    @extend_schema(
        operation_id="generations_create",
        summary="Ask for a video",
        request=NativeCreate,
        parameters=[idempotency.PARAMETER],
        responses={202: GenerationRow},
    )
    def post(self, request: Request) -> Response:
        wanted = self.wanted(request, NativeCreate)
        accepted = intake.accept(key_of(request), wanted, idempotency.once(request, wanted))
        where = reverse("generation", [accepted.generation.pk])
        told = ratelimit.headers(accepted.standings, timezone.now()) | idempotency.headers(accepted)
        return Response(render(accepted.generation), status=202, headers={"Location": where, **told})

    @extend_schema(
        operation_id="generations_list", summary="The newest generations, newest first", responses=GenerationList
    )
    def get(self, request: Request) -> Response:
        return Response({"generations": [render(row) for row in lookup.own_rows(request)[:PAGE]]})


class OneGeneration(View):
    @extend_schema(operation_id="generations_get", summary="One generation", responses=GenerationRow)
    def get(self, request: Request, generation_id: str) -> Response:
        return Response(render(lookup.own(request, generation_id)))


def render(generation: Generation) -> dict[str, Any]:
    """The row as callers see it. Its URLs are signed at each read."""
    done = generation.status == Generation.Status.SUCCEEDED
    return {
        "id": str(generation.pk),
        "status": generation.status,
        "progress_percent": generation.progress_percent,
        "model": generation.model,
        "prompt": generation.prompt,
        "resolution": generation.resolution,
        "aspect_ratio": generation.aspect_ratio,
        "duration": generation.duration,
        "camera_fixed": generation.camera_fixed,
        "seed": generation.seed,
        "seed_source": generation.seed_source,
        "image": _image(generation.image, generation.image_url),
        "last_image": _image(generation.last_image, generation.last_image_url),
        "price_usd": windows.usd(generation.price_micro),
        "test": generation.test,
        "created_at": _time(generation.created_at),
        "submitted_at": _time(generation.submitted_at),
        "finished_at": _time(generation.finished_at),
        "video": _video(generation) if done else None,
        "poster": {"url": lookup.poster_url(generation)} if done else None,
        "expires_at": _time(storage.signed_until()) if done else None,
        "error": _error(generation),
    }


def _image(image: InputImage | None, url: str) -> dict[str, Any] | None:
    if image is None:
        return {"url": url} if url else None
    known = {name: getattr(image, name) for name in ("sha256", "format", "width", "height", "size")}
    return {**({"url": url} if url else {}), **known}


def _video(generation: Generation) -> dict[str, Any]:
    names = ("size", "sha256", "codec", "width", "height", "fps", "duration")
    return {
        "url": lookup.video_url(generation),
        **{name: getattr(generation, f"video_{name}") for name in names},
    }


def _error(generation: Generation) -> dict[str, str] | None:
    if not generation.error_code:
        return None
    return {"code": generation.error_code, "message": generation.error_message}


def _time(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None
