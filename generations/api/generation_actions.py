"""The actions on one generation under /v1/: cancel, rerun, list its events, fetch its video and poster."""

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from generations.api import create_generation, long_poll, render, tenant_scope
from generations.api.generations import CreatingView
from generations.api.request_bodies import Rerun
from generations.api.response_schemas import EventList, GenerationRow
from generations.bucket import objects, signed_urls
from generations.errors import NoVideo, VideoDeleted, VideoNotReady
from generations.models import Generation
from generations.ops import cancellation
from tenants import times
from tenants.api.base import JSON, ApiView, key_of, respond

REDIRECTED = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[302], description="A signed URL.")


class Cancel(ApiView):
    @extend_schema(
        operation_id="generations_cancel",
        summary="Cancel a generation before the upstream begins it",
        request=None,
        responses=GenerationRow,
    )
    def post(self, request: Request, generation_id: str) -> HttpResponse:
        """The hold is released. A generation that is cancelled already gets the same answer.

        A generation that was sent can be cancelled while it waits at an upstream that cancels tasks. If it is too late,
        or the upstream gives no clear answer, 409 `not_possible` says so and the generation goes on.
        """
        generation = tenant_scope.get_own(request, generation_id)
        cancellation.cancel(generation, f"cancelled by its caller, with key {key_of(request).prefix}")
        return render.answer(generation)


class RerunView(CreatingView):
    @extend_schema(
        operation_id="generations_rerun",
        summary="Rerun a generation with the same inputs; fields in the body override them",
        request={"application/json": Rerun, "multipart/form-data": Rerun},
        parameters=[create_generation.IDEMPOTENCY_KEY_PARAMETER, long_poll.PARAMETER],
        responses={202: GenerationRow, 200: GenerationRow},
    )
    def post(self, request: Request, generation_id: str) -> HttpResponse:
        """The rerun keeps the source's seed; `{"seed": -1}` draws another. It is admitted and priced as any create."""
        source = tenant_scope.get_own(request, generation_id)
        request.parser_context["source_model"] = source.model  # the types of a form's fields are those of the model
        return self.create(request, create_generation.read_request(Rerun, request.data, source=source))


class Events(ApiView):
    @extend_schema(
        operation_id="generations_events", summary="List a generation's events, oldest first", responses=EventList
    )
    def get(self, request: Request, generation_id: str) -> HttpResponse:
        return respond({"events": list(render.events(tenant_scope.get_own(request, generation_id)))})


class FileView(ApiView):
    """A view of a file in the bucket. GET redirects to a signed URL, whatever types a player or an `<img>` accepts.
    HEAD is answered without the bucket's URL, which is signed for GET alone.
    """

    def choose_media_type(self, request: Request) -> str:
        return JSON  # of errors


class Video(FileView):
    @extend_schema(
        operation_id="generations_video",
        summary="Redirect to the video at a fresh signed URL",
        parameters=[REDIRECTED],
        responses={302: None},
    )
    def get(self, request: Request, generation_id: str) -> HttpResponse:
        generation = _with_video(request, generation_id)
        if request.method == "HEAD":
            facts = {"Content-Length": str(generation.video_size), "ETag": f'"{generation.video_sha256}"'}
            return respond(headers={"Content-Type": "video/mp4", "Accept-Ranges": "bytes", **facts})
        return respond(status=302, headers={"Location": signed_urls.signer().video_url(generation)})


class Poster(FileView):
    @extend_schema(
        operation_id="generations_poster",
        summary="Redirect to the poster, a JPEG, at a fresh signed URL",
        parameters=[REDIRECTED],
        responses={302: None},
    )
    def get(self, request: Request, generation_id: str) -> HttpResponse:
        generation = _with_video(request, generation_id)
        if request.method == "HEAD":
            size = objects.size(generation.poster_key)
            return respond(
                headers={"Content-Type": "image/jpeg", "Content-Length": str(size), "Accept-Ranges": "bytes"}
            )
        return respond(status=302, headers={"Location": signed_urls.signer().poster_url(generation)})


def _with_video(request: Request, generation_id: str) -> Generation:
    """Return the caller's generation. Raise VideoDeleted, NoVideo or VideoNotReady if it has no video."""
    generation = tenant_scope.get_own(request, generation_id)
    if generation.has_video:
        return generation
    if removed_at := generation.removed_at:
        raise VideoDeleted(at=times.rfc3339(removed_at))
    if generation.finished_at:
        raise NoVideo(reason=generation.error_message or f"it was {generation.status}.")
    wait = int(render.retry_after(generation)["Retry-After"])
    raise VideoNotReady(status=generation.status, retry_after=wait)
