"""Serve the model maker's wire, Ark: create, get, list and DELETE of tasks, below the addresses of two accounts.

Below /api/v3 it is the account "ark". Below /v3/bytedance/metered it is Novita's, whose list is not known: it answers
404 there. What the row of the model does not have is refused, as upstream: a field, a value, or a role of an image.

A prompt controls the sandbox. Nothing is created with:
[lose before]   the answer is a proxy's 502
[500]           500 InternalServiceError
[429 CODE]      429 with the code, such as ServerOverloaded; [429 QuotaExceeded trial] and [… plan] say why
[overdue]       403 AccountOverdueError
[closed]        400 InvalidEndpoint.ClosedEndpoint
[not open]      404 ModelNotOpen
[refuse]        400 InputTextSensitiveContentDetected
A task is created with:
[lose]          the answer is a proxy's 502
[500 created]   the answer is 500 InternalServiceError
[wait 30]       it stays queued for 30 seconds
[run 30]        it then runs for 30 seconds or longer
[fail]          it fails with InternalServiceError
[moderate]      it fails with OutputVideoSensitiveContentDetected
[expire]        it expires
[usage 2]       it reports twice the tokens
[no usage]      it reports none
[text numbers]  its duration and its tokens are texts
[no echo]       neither the task nor the list has its safety_identifier
[hide 20]       the list shows it only after 20 seconds
[slow list 5]   each answer of the list takes 5 seconds, as long as the record is there
[url expired]   the URL of its video is refused
Flags such as ` --rs 1080p --dur 12` change the video, as for older clients of the wire; a bad value is the default.
"""

import secrets
import string
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path

from deploy.sandbox import ark_errors, ark_tasks, novita, scripts, shared
from deploy.sandbox.ark_callbacks import Callbacks
from deploy.sandbox.ark_errors import ArkError
from deploy.sandbox.ark_requests import Create, read_create
from deploy.sandbox.store import ArkTask

TASKS = "contents/generations/tasks"
BASES = {"api/v3": "ark", "v3/bytedance/metered": "novita"}  # the accounts by their addresses
WIRE = "ark"  # as the catalogue names it
EXPIRES_AFTER = 172_800  # seconds
ID_LETTERS = string.ascii_lowercase + string.digits

View = Callable[..., HttpResponse]
store = shared.store
callbacks = Callbacks(ark_tasks.status_of, lambda task: ark_tasks.render(task, ark_errors.new_request_id()))


def answer(view: View) -> View:
    """Return the view with a check of the key, a request id on each answer, and errors in their envelope."""

    def wrapped(request: HttpRequest, **names: str) -> HttpResponse:
        request_id = ark_errors.new_request_id()
        try:
            _authorize(request)
            response = view(request, request_id=request_id, **names)
        except ArkError as error:
            response = error.render(request_id)
        if response.status_code != 502:  # a proxy's
            response.headers["x-request-id"] = request_id
        return response

    return wrapped


@answer
def all_tasks(request: HttpRequest, account: str, request_id: str) -> HttpResponse:
    """Create a task, or list those of the account."""
    if request.method == "POST":
        return _create(request, account)
    if request.method != "GET":
        raise ArkError(405, "MethodNotAllowed", "The method is not allowed.")
    if account != "ark":
        return novita.no_such_api(request)
    return JsonResponse(ark_tasks.list_page(request.GET, account, request_id))


@answer
def one_task(request: HttpRequest, account: str, task_id: str, request_id: str) -> HttpResponse:
    """Show a task, or cancel or delete it."""
    if request.method == "GET":
        return JsonResponse(ark_tasks.render(ark_tasks.find(task_id, account), request_id))
    if request.method != "DELETE":
        raise ArkError(405, "MethodNotAllowed", "The method is not allowed.")
    ark_tasks.cancel_or_delete(task_id, account)
    callbacks.forget(task_id)
    return JsonResponse({})


def _authorize(request: HttpRequest) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not shared.is_accepted_key(key.strip()):
        raise ArkError(401, "AuthenticationError", "The API key in the request is missing or invalid.")


def _create(request: HttpRequest, account: str) -> HttpResponse:
    """Create a task from a valid request, unless its prompt asks for a fault."""
    create = read_create(request, account)
    prompt = create.values["prompt"]
    if scripts.has(prompt, "lose before"):
        return ark_errors.bad_gateway()
    ark_errors.raise_scripted(prompt)
    task = _new_task(create, account, shared.key_of(request))
    store.add(task, create.image, create.last_image)
    callbacks.watch(task)
    if scripts.has(prompt, "lose"):
        return ark_errors.bad_gateway()
    if scripts.has(prompt, "500 created"):
        raise ark_errors.internal()
    echo = {"safety_identifier": task.reference} if task.reference and not scripts.has(prompt, "no echo") else {}
    return JsonResponse({"id": task.id, **echo})


def _new_task(create: Create, account: str, key: str) -> ArkTask:
    """Return the task of a create with the key."""
    values, now = create.values, store.clock.now()
    tier = values.get("service_tier") or "default"
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
    end = "".join(secrets.choice(ID_LETTERS) for _ in range(5))
    shot: dict[str, Any] = shared.shot_fields(create.model, values, create.image, create.last_image)
    return ArkTask(
        id=f"cgt-{'batch-' if tier == 'flex' else ''}{moment}-{end}",
        created_at=now,
        account=account,
        target=create.target,
        resolution=values.get("resolution") or "",
        ratio=values["aspect_ratio"],
        duration=values["duration"],
        service_tier=tier,
        expires_after=values.get("execution_expires_after") or EXPIRES_AFTER,
        reference=create.reference,
        callback_url=create.callback_url,
        **shot,
        **shared.price_fields(key, create.model, values, WIRE),
    )


for _task in store.tasks():  # of the run before
    if isinstance(_task, ArkTask) and not _task.is_stopped and ark_tasks.status_of(_task) in ("queued", "running"):
        callbacks.watch(_task)

urlpatterns: list[URLPattern] = [
    pattern
    for base, name in BASES.items()
    for pattern in (
        path(f"{base}/{TASKS}", all_tasks, {"account": name}),
        path(f"{base}/{TASKS}/<str:task_id>", one_task, {"account": name}),
    )
]
