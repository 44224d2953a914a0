"""Entrance 1: Novita's own wire format. A client written for Novita changes its base URL and its key."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request

from generations.api import create_generation, long_poll, render, tenant_scope
from generations.api.generations import awaited
from generations.api.large_bodies import LargeBodies
from generations.api.request_bodies import NovitaCreate
from generations.api.response_schemas import NovitaTaskResultShape
from generations.catalog import eta
from generations.webhooks import novita_payload
from tenants.api.base import ApiView, respond


class NovitaView(ApiView):
    error_format = "novita"


class Submit(LargeBodies, NovitaView):
    @extend_schema(
        operation_id="novita_seedance_v1_lite_i2v",
        summary="Seedance V1 Lite, image to video",
        request=NovitaCreate,
        parameters=[create_generation.IDEMPOTENCY_KEY_PARAMETER],
        responses=inline_serializer("NovitaTaskId", {"task_id": serializers.UUIDField()}),
    )
    def post(self, request: Request) -> HttpResponse:
        accepted = create_generation.accept(request, create_generation.checked(NovitaCreate, request.data))
        return respond({"task_id": str(accepted.generation.pk)}, headers=create_generation.headers(accepted))


class TaskResult(NovitaView):
    @extend_schema(
        operation_id="novita_task_result",
        summary="Task Result",
        parameters=[OpenApiParameter("task_id", UUID, required=True), long_poll.PARAMETER],
        responses=NovitaTaskResultShape,
    )
    def get(self, request: Request) -> HttpResponse:
        """Of an unfinished task, `eta` says how many seconds such tasks took from there."""
        found = tenant_scope.own(request, request.query_params.get("task_id", ""))
        generation, waited = awaited(request, found)
        body = novita_payload.render(generation, eta.remaining(generation) or 0)
        return respond(body, headers={**waited, **render.retry_after(generation)})
