"""Entrance 2: the service's own API under /v1/: making generations, listing and reading them."""

import structlog
from django.db import Error
from django.http import HttpResponse
from django.urls import get_script_prefix
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from generations.api import create_generation, generation_list, long_poll, render, tenant_scope
from generations.api.json_codec import JSONParser
from generations.api.large_bodies import LargeBodies
from generations.api.multipart import FormParser
from generations.api.request_bodies import NativeCreate
from generations.api.response_schemas import GenerationList, GenerationRow
from generations.catalog import eta
from generations.intake.generation_request import GenerationRequest
from generations.models import Generation
from generations.ops import deletion
from tenants.api.base import ApiView, respond

log = structlog.stdlib.get_logger(__name__)


class Creates(LargeBodies):
    """What makes a generation, and answers with it."""

    parser_classes = [JSONParser, FormParser]

    def create(self, request: Request, wanted: GenerationRequest) -> HttpResponse:
        accepted = create_generation.accept(request, wanted)
        del wanted
        location = f"{get_script_prefix()}v1/generations/{accepted.generation.pk}"  # `reverse` takes long
        headers = {**create_generation.headers(accepted), "Location": location}
        self.release_body(request)
        try:
            generation, waited = awaited(request, accepted.generation)
        except Error:  # it is committed, and its caller must hear so
            log.exception("it is not known what became of it", generation=str(accepted.generation.pk))
            generation, waited = accepted.generation, {}
        if not waited:
            headers["Retry-After"] = str(eta.retry_after(generation.first_eta, 0))
            return respond(render.first(generation), status=202, headers=headers)
        return render.answer(generation, status=200 if generation.finished_at else 202, headers={**headers, **waited})


class Generations(Creates):
    @extend_schema(
        operation_id="generations_create",
        summary="Ask for a video",
        request={"application/json": NativeCreate, "multipart/form-data": NativeCreate},
        parameters=[create_generation.IDEMPOTENCY_KEY_PARAMETER, long_poll.PARAMETER],
        responses={202: GenerationRow, 200: GenerationRow},
    )
    def post(self, request: Request) -> HttpResponse:
        return self.create(request, create_generation.checked(NativeCreate, request.data))

    @extend_schema(
        operation_id="generations_list",
        summary="Generations, newest first",
        parameters=[generation_list.Filters, generation_list.LABELS],
        responses=GenerationList,
    )
    def get(self, request: Request) -> HttpResponse:
        found = generation_list.page(request)
        body = {"generations": [render.render(row) for row in found.rows], "next_cursor": found.next_cursor}
        return respond(body, headers=found.headers)


class OneGeneration(ApiView):
    @extend_schema(
        operation_id="generations_get",
        summary="One generation",
        parameters=[long_poll.PARAMETER],
        responses=GenerationRow,
    )
    def get(self, request: Request, generation_id: str) -> HttpResponse:
        generation, waited = awaited(request, tenant_scope.own(request, generation_id))
        return render.answer(generation, headers=waited)

    @extend_schema(
        operation_id="generations_delete",
        summary="Remove its video and pictures from the bucket",
        request=None,
        responses={204: None, 202: GenerationRow},
    )
    def delete(self, request: Request, generation_id: str) -> HttpResponse:
        """Once it is over. The row and the ledger stay; 202 where the bucket does not answer and the worker goes on."""
        generation = tenant_scope.own(request, generation_id)
        return respond(status=204) if deletion.delete(generation) else render.answer(generation, status=202)


def awaited(request: Request, generation: Generation) -> tuple[Generation, dict[str, str]]:
    """The generation as it stands when it has ended, or when the time that the caller would wait is over."""
    seconds = long_poll.wanted(request)
    if seconds is None or generation.finished_at or not long_poll.until_ended(generation.pk, seconds):
        return generation, {}
    return tenant_scope.own(request, str(generation.pk)), long_poll.headers(seconds)
