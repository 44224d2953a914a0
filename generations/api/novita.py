"""Entrance 1: Novita's own wire format. A client written for Novita changes its base URL and its key."""

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from generations import intake
from generations.api import idempotency, lookup
from generations.api.gate import LargeBodies
from generations.api.serializers import NovitaCreate
from generations.models import Generation
from tenants import ratelimit
from tenants.entrance import View, key_of

Status = Generation.Status
WIRE_STATUS = {
    Status.QUEUED: "TASK_STATUS_QUEUED",
    Status.SUBMITTING: "TASK_STATUS_QUEUED",
    Status.IN_DOUBT: "TASK_STATUS_QUEUED",
    Status.RUNNING: "TASK_STATUS_PROCESSING",
    Status.COPYING: "TASK_STATUS_PROCESSING",
    Status.SUCCEEDED: "TASK_STATUS_SUCCEED",
    Status.FAILED: "TASK_STATUS_FAILED",
    Status.CANCELLED: "TASK_STATUS_FAILED",
}


class NovitaView(View):
    error_format = "novita"


class Submit(LargeBodies, NovitaView):
    @extend_schema(
        operation_id="novita_seedance_v1_lite_i2v",
        summary="Seedance V1 Lite, image to video",
        request=NovitaCreate,
        parameters=[idempotency.PARAMETER],
        responses=inline_serializer("NovitaTask", {"task_id": serializers.UUIDField()}),
    )
    def post(self, request: Request) -> Response:
        wanted = self.wanted(request, NovitaCreate)
        accepted = intake.accept(key_of(request), wanted, idempotency.once(request, wanted))
        told = ratelimit.headers(accepted.standings, timezone.now()) | idempotency.headers(accepted)
        return Response({"task_id": str(accepted.generation.pk)}, headers=told)


class TaskResult(NovitaView):
    @extend_schema(
        operation_id="novita_task_result",
        summary="Task Result",
        parameters=[OpenApiParameter("task_id", str, required=True)],
        responses=inline_serializer(
            "NovitaTaskResult",
            {
                "extra": serializers.DictField(),
                "task": serializers.DictField(),
                "images": serializers.ListField(),
                "videos": serializers.ListField(child=serializers.DictField()),
                "audios": serializers.ListField(),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        return Response(render(lookup.own(request, request.query_params.get("task_id", ""))))


def render(generation: Generation) -> dict[str, Any]:
    """Novita's Task Result. `extra` is always an object, an array never null, seed and ttl are strings of digits."""
    return {
        "extra": {"seed": str(generation.seed)},
        "task": {
            "task_id": str(generation.pk),
            "task_type": "IMG_TO_VIDEO",
            "status": WIRE_STATUS[Status(generation.status)],
            "reason": generation.error_message,
            "eta": 0,
            "progress_percent": generation.progress_percent,
        },
        "images": [],
        "videos": [_video(generation)] if generation.status == Status.SUCCEEDED else [],
        "audios": [],
    }


def _video(generation: Generation) -> dict[str, str]:
    return {
        "video_url": lookup.video_url(generation),
        "video_url_ttl": str(settings.SIGNED_URL_TTL),
        "video_type": "mp4",
    }
