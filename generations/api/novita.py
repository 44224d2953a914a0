"""The Novita-compatible API under /v3/. A client written for Novita changes its base URL and its key."""

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request

from generations.api import create_generation, long_poll, render, tenant_scope
from generations.api.generations import wait_until_finished
from generations.api.large_bodies import LargeBodies
from generations.api.novita_names import body_name, is_documented, operation_id
from generations.api.request_bodies import NovitaCreate
from generations.api.response_schemas import NovitaTaskResultSchema
from generations.catalog import eta, video_models
from generations.catalog.video_models import VideoModel
from generations.webhooks import novita_payload
from tenants.api.base import ApiView, respond


class NovitaView(ApiView):
    """A view whose errors have the format of Novita's."""

    error_format = "novita"


class Submit(LargeBodies, NovitaView):
    """The submit endpoint of one model."""

    model_id: ClassVar[str]

    @extend_schema(
        parameters=[create_generation.IDEMPOTENCY_KEY_PARAMETER],
        responses=inline_serializer("NovitaTaskId", {"task_id": serializers.UUIDField()}),
    )
    def post(self, request: Request) -> HttpResponse:
        model = video_models.models()[self.model_id]
        generation_request = create_generation.read_request(NovitaCreate, request.data, model=model)
        accepted = create_generation.accept(request, generation_request)
        body = {"task_id": str(accepted.generation.pk)}
        return create_generation.answer_committed(
            accepted, lambda: respond(body, headers=create_generation.headers(accepted)), lambda: respond(body)
        )


def submit_view(model: VideoModel) -> type[Submit]:
    """Return the view of the model's submit endpoint, which has the route that Novita has for the model.

    A retired model has a route, which says so, and no place in the OpenAPI document.
    """
    view = type(f"Submit_{model.id}", (Submit,), {"model_id": model.id})
    body = type(body_name(model), (NovitaCreate,), {"__doc__": NovitaCreate.__doc__, "model_id": model.id})
    documented = extend_schema(
        operation_id=operation_id(model),
        summary=f"Create a task: {model.row.title}",
        request=extend_schema_serializer(component_name=body_name(model))(body),
        exclude=not is_documented(model),
    )
    return extend_schema_view(post=documented)(view)


class TaskResult(NovitaView):
    @extend_schema(
        operation_id="novita_task_result",
        summary="Get the result of a task",
        parameters=[OpenApiParameter("task_id", UUID, required=True), long_poll.PARAMETER],
        responses=NovitaTaskResultSchema,
    )
    def get(self, request: Request) -> HttpResponse:
        """`eta` estimates the seconds until the task ends, from how long such tasks took."""
        generation = tenant_scope.get_own(request, request.query_params.get("task_id", ""))
        generation, waited = wait_until_finished(request, generation)
        body = novita_payload.render(generation, eta.remaining(generation) or 0)
        return respond(body, headers={**waited, **render.retry_after(generation)})
