"""GET /v1/models: the models that the calling key may use. Reading costs no query."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from generations.api import model_pages, retirement_headers
from generations.api.fields import Choice, Parameters, validate
from generations.api.model_schemas import TASKS, ModelListSchema, ModelSchema
from generations.catalog import states, video_models
from generations.catalog.states import ModelStatus
from generations.catalog.video_models import VideoModel
from generations.errors import ModelNotFound
from generations.models import ModelState
from generations.upstream import accounts
from tenants.api import documents
from tenants.api.base import ApiView, key_of
from tenants.keys import allowed_models

State = ModelState.State


class ModelsQuery(Parameters):
    """The filters of the list of models."""

    state = Choice(State.values, required=False, help_text="Default: the models that are active or deprecated.")
    task = Choice(TASKS, required=False)


class Models(ApiView):
    @extend_schema(
        operation_id="models_list",
        summary="List the models that the key may use",
        parameters=[ModelsQuery, documents.IF_NONE_MATCH],
        responses={200: ModelListSchema, 304: None},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Each entry is the page of a model. Hidden and retired models are listed only if `state` asks for them.

        A model for which the service has no account at an upstream is not listed for live keys.
        """
        query = validate(ModelsQuery, request.query_params)
        key = key_of(request)
        models = [
            model
            for model in video_models.models().values()
            if allowed_models.is_model_allowed(key, model.id) and _makes(model, query.get("task"))
        ]
        offered = models if key.test else accounts.find_offered(models)
        listed = [
            (model.id, status)
            for model, status in zip(offered, states.of_many(offered), strict=True)
            if _is_chosen(status, query.get("state"))
        ]
        return _answer(request, model_pages.page_of_many(listed))


class OneModel(ApiView):
    @extend_schema(
        operation_id="models_get",
        summary="Get a model: state, prices, and the schema of its create",
        parameters=[OpenApiParameter("model_id", str, OpenApiParameter.PATH), documents.IF_NONE_MATCH],
        responses={200: ModelSchema, 304: None},
    )
    def get(self, request: Request, model_id: str) -> HttpResponseBase:
        """Every model has a page, a retired one too."""
        model = video_models.get(model_id)
        if model is None:
            raise ModelNotFound
        allowed_models.check_model(key_of(request), model.id)
        answer = _answer(request, model_pages.page(model))
        for name, value in retirement_headers.headers(model).items():
            answer.headers[name] = value
        return answer


def _answer(request: Any, document: documents.Document) -> HttpResponseBase:
    return documents.answer(request, document, cache_control=documents.PRIVATE)


def _makes(model: VideoModel, task: str | None) -> bool:
    """Return whether a list shows a model of its task. One that takes an image or none is in the lists of each task."""
    return task in (None, model.row.task) or model.row.task == "both"


def _is_chosen(status: ModelStatus, state: str | None) -> bool:
    """Return whether a list shows a model of that status: of the state that it asks for, or of those listed without."""
    return status.state == state if state else status.is_listed
