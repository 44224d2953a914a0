"""The native API under /v1/: creating, listing, reading and deleting generations."""

from functools import partial

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
from generations.intake.create import Accepted
from generations.intake.generation_request import GenerationRequest
from generations.models import Generation
from generations.ops import deletion
from tenants.api.base import ApiView, respond


class CreatingView(LargeBodies):
    """A view that creates a generation and answers with it."""

    parser_classes = [JSONParser, FormParser]

    def create(self, request: Request, generation_request: GenerationRequest) -> HttpResponse:
        accepted = create_generation.accept(request, generation_request)
        del generation_request  # and with it the images
        headers = {"Location": f"{get_script_prefix()}v1/generations/{accepted.generation.pk}"}  # `reverse` takes long
        return create_generation.answer_committed(
            accepted,
            partial(self._wait_and_answer, request, accepted, headers),
            partial(_answer_at_once, accepted, headers),
        )

    def _wait_and_answer(self, request: Request, accepted: Accepted, headers: dict[str, str]) -> HttpResponse:
        """Return the answer as the generation is after the wait that the caller prefers."""
        headers = {**create_generation.headers(accepted), **headers}
        self.release_body(request)
        generation, waited = wait_until_finished(request, accepted.generation)
        if not waited:
            return _answer_at_once(accepted, headers)
        return render.answer(generation, status=200 if generation.finished_at else 202, headers={**headers, **waited})


def _answer_at_once(accepted: Accepted, headers: dict[str, str]) -> HttpResponse:
    """Return the answer that needs neither the database nor the bucket."""
    generation = accepted.generation
    headers = {**headers, "Retry-After": str(eta.retry_after(generation.first_eta, 0))}
    return respond(render.as_created(generation), status=202, headers=headers)


class Generations(CreatingView):
    @extend_schema(
        operation_id="generations_create",
        summary="Create a generation",
        request={"application/json": NativeCreate, "multipart/form-data": NativeCreate},
        parameters=[create_generation.IDEMPOTENCY_KEY_PARAMETER, long_poll.PARAMETER],
        responses={202: GenerationRow, 200: GenerationRow},
    )
    def post(self, request: Request) -> HttpResponse:
        return self.create(request, create_generation.read_request(NativeCreate, request.data))

    @extend_schema(
        operation_id="generations_list",
        summary="List generations, newest first",
        parameters=[generation_list.Filters, generation_list.LABELS],
        responses=GenerationList,
    )
    def get(self, request: Request) -> HttpResponse:
        page = generation_list.load_page(request)
        body = {"generations": render.as_json(*page.rows), "next_cursor": page.next_cursor}
        return respond(body, headers=page.headers)


class OneGeneration(ApiView):
    @extend_schema(
        operation_id="generations_get",
        summary="Get a generation",
        parameters=[long_poll.PARAMETER],
        responses=GenerationRow,
    )
    def get(self, request: Request, generation_id: str) -> HttpResponse:
        generation, waited = wait_until_finished(request, tenant_scope.get_own(request, generation_id))
        return render.answer(generation, headers=waited)

    @extend_schema(
        operation_id="generations_delete",
        summary="Delete a generation's video and images from the bucket",
        request=None,
        responses={204: None, 202: GenerationRow},
    )
    def delete(self, request: Request, generation_id: str) -> HttpResponse:
        """Only a generation that has ended can be deleted. Its row and its ledger entries stay.

        A 202 means that the bucket does not answer, and that a worker will finish the deletion.
        """
        generation = tenant_scope.get_own(request, generation_id)
        return respond(status=204) if deletion.delete(generation) else render.answer(generation, status=202)


def wait_until_finished(request: Request, generation: Generation) -> tuple[Generation, dict[str, str]]:
    """Wait as long as the caller prefers, and return the generation as it is then, with the answer's headers.

    Return at once, without headers, if the caller did not ask to wait or no place to wait is free.
    """
    seconds = long_poll.preferred_seconds(request)
    if seconds is None or generation.finished_at or not long_poll.wait_until_finished(generation.pk, seconds):
        return generation, {}
    return tenant_scope.get_own(request, str(generation.pk)), long_poll.headers(seconds)
