"""A tenant's key can do nothing with another tenant's rows. The matrix comes from the URL conf: a new route that has
no row here fails.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from generations.catalog import video_models
from generations.models import Delivery, Generation, WebhookEndpoint, WebhookSecret
from tenants.models import LedgerEntry, Window
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation
from tests.support.webhooks import make_endpoint, make_failed

Call = Callable[[Any, str], Any]  # (HTTP client, id) -> answer
STATES, ONCE = ("queued", "running", "succeeded", "failed"), ("stored",)


def a_generation(caller: Caller, status: str) -> UUID:
    return put_in(caller, status)[0].pk


def an_endpoint(caller: Caller, status: str) -> UUID:
    return make_endpoint(caller).pk


def a_delivery(caller: Caller, status: str) -> UUID:
    make_endpoint(caller)
    return make_failed(caller).deliveries.get().pk


@dataclass(frozen=True)
class OfOne:
    """A route that names a row by its id: another tenant's id gets the answer of an unknown id."""

    call: Call
    create: Callable[[Caller, str], UUID] = a_generation
    states: Sequence[str] = STATES


@dataclass(frozen=True)
class OfMany:
    """A route that shows or creates the caller's own rows: no row of another tenant may be in the answer, or change."""

    call: Call


ROUTES: dict[tuple[str, str], OfOne | OfMany] = {
    **{
        (route.lstrip("/"), "POST"): OfMany(
            lambda http, _, route=route: http.post(route, {}, format="json")  # type: ignore[misc]
        )
        for route in video_models.by_route()
    },
    ("v3/async/task-result", "GET"): OfOne(lambda http, id: http.get("/v3/async/task-result", {"task_id": id})),
    ("v1/generations", "GET"): OfMany(lambda http, _: http.get("/v1/generations")),
    ("v1/generations", "POST"): OfMany(lambda http, _: http.post("/v1/generations", {}, format="json")),
    # Of a kind that is not among Alice's: the estimate of the time is made from the videos of all tenants.
    ("v1/generations/quote", "POST"): OfMany(
        lambda http, _: http.post("/v1/generations/quote", QUOTED, format="json"),
    ),
    ("v1/generations/<str:generation_id>", "GET"): OfOne(lambda http, id: http.get(f"/v1/generations/{id}")),
    ("v1/generations/<str:generation_id>", "DELETE"): OfOne(lambda http, id: http.delete(f"/v1/generations/{id}")),
    ("v1/generations/<str:generation_id>/cancel", "POST"): OfOne(
        lambda http, id: http.post(f"/v1/generations/{id}/cancel")
    ),
    ("v1/generations/<str:generation_id>/rerun", "POST"): OfOne(
        lambda http, id: http.post(f"/v1/generations/{id}/rerun")
    ),
    ("v1/generations/<str:generation_id>/events", "GET"): OfOne(
        lambda http, id: http.get(f"/v1/generations/{id}/events")
    ),
    ("v1/generations/<str:generation_id>/video", "GET"): OfOne(
        lambda http, id: http.get(f"/v1/generations/{id}/video")
    ),
    ("v1/generations/<str:generation_id>/poster", "GET"): OfOne(
        lambda http, id: http.get(f"/v1/generations/{id}/poster")
    ),
    ("v1/models", "GET"): OfMany(lambda http, _: http.get("/v1/models")),
    ("v1/models/<str:model_id>", "GET"): OfMany(lambda http, _: http.get("/v1/models/seedance-v1-lite-i2v")),
    ("v1/webhook-endpoints", "GET"): OfMany(lambda http, _: http.get("/v1/webhook-endpoints")),
    ("v1/webhook-endpoints", "POST"): OfMany(lambda http, _: http.post("/v1/webhook-endpoints", {}, format="json")),
    ("v1/webhook-endpoints/<str:endpoint_id>", "GET"): OfOne(
        lambda http, id: http.get(f"/v1/webhook-endpoints/{id}"), an_endpoint, ONCE
    ),
    ("v1/webhook-endpoints/<str:endpoint_id>", "PATCH"): OfOne(
        lambda http, id: http.patch(f"/v1/webhook-endpoints/{id}", {"enabled": False}, format="json"), an_endpoint, ONCE
    ),
    ("v1/webhook-endpoints/<str:endpoint_id>", "DELETE"): OfOne(
        lambda http, id: http.delete(f"/v1/webhook-endpoints/{id}"), an_endpoint, ONCE
    ),
    ("v1/webhook-endpoints/<str:endpoint_id>/rotate-secret", "POST"): OfOne(
        lambda http, id: http.post(f"/v1/webhook-endpoints/{id}/rotate-secret"), an_endpoint, ONCE
    ),
    ("v1/webhook-endpoints/<str:endpoint_id>/test", "POST"): OfOne(
        lambda http, id: http.post(f"/v1/webhook-endpoints/{id}/test"), an_endpoint, ONCE
    ),
    # Refused, since a good one is answered with another secret each time.
    ("v1/webhook-secret/rotate", "POST"): OfMany(
        lambda http, _: http.post("/v1/webhook-secret/rotate", {"overlap_hours": -1}, format="json")
    ),
    ("v1/webhook-deliveries", "GET"): OfMany(lambda http, _: http.get("/v1/webhook-deliveries")),
    ("v1/webhook-deliveries/<str:delivery_id>", "GET"): OfOne(
        lambda http, id: http.get(f"/v1/webhook-deliveries/{id}"), a_delivery, ONCE
    ),
    ("v1/webhook-deliveries/<str:delivery_id>/redeliver", "POST"): OfOne(
        lambda http, id: http.post(f"/v1/webhook-deliveries/{id}/redeliver"), a_delivery, ONCE
    ),
    ("v1/usage", "GET"): OfMany(lambda http, _: http.get("/v1/usage?group_by=key")),
    ("v1/limits", "GET"): OfMany(lambda http, _: http.get("/v1/limits")),
}
QUOTED = {"image": "https://example.com/a.png", "resolution": "1080p", "duration": 10}
# No tenant's rows: documents, the panel, which has users and permissions of its own, and what upstreams post.
NOT_OF_TENANTS = (
    *("", "docs", "docs/", "openapi.json", "admin", "metrics"),
    *("llms.txt", "docs.md", "docs/<slug:name>", "docs/<slug:name>.md"),
    *("docs/errors/<slug:name>", "docs/errors/<slug:name>.md", "v1/upstream-callbacks/<str:reference>"),
)


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if path != "admin/":
                yield from routes(entry.url_patterns, path)
        else:
            assert isinstance(entry, URLPattern)
            yield path, entry.callback


def methods(view: Any) -> list[str]:
    kind: type[APIView] = view.cls
    return [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(kind, name)]


def test_every_route_of_the_url_conf_is_in_the_matrix() -> None:
    callers = [(path, view) for path, view in routes() if path not in NOT_OF_TENANTS and not path.startswith("admin/")]
    actual = {(path, method) for path, view in callers for method in methods(view)}
    assert actual == set(ROUTES)


ONE = [route for route, kind in ROUTES.items() if isinstance(kind, OfOne)]
MANY = [route for route, kind in ROUTES.items() if isinstance(kind, OfMany)]


def comparable(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.content, dict(answer.items())


def rows(caller: Caller) -> list[Any]:
    """Return all rows of a tenant."""
    managers: list[Any] = [Generation.objects, LedgerEntry.objects, Window.objects]
    managers += [WebhookEndpoint.objects, WebhookSecret.objects, Delivery.objects]
    return [list(manager.filter(tenant=caller.tenant).order_by("pk").values()) for manager in managers]


@pytest.mark.parametrize(
    ("route", "status"),
    [pytest.param(route, status, id=" ".join((*route, status))) for route in ONE for status in ROUTES[route].states],
)
def test_another_tenants_id_is_answered_as_an_unknown_one(
    alice: Caller, bob: Caller, bucket: Any, route: tuple[str, str], status: str
) -> None:
    """Mallory has Alice's id and Bob's key, and gets the bytes and headers of an id that never existed."""
    alices = str(ROUTES[route].create(alice, status))
    before = rows(alice)
    call = ROUTES[route].call
    answers = [comparable(call(bob.http, row_id)) for row_id in (alices, str(uuid4()), "x", "%00")]
    assert {answer[0] for answer in answers} == {404}
    assert all(answer == answers[0] for answer in answers)
    status_code, content, _ = comparable(call(bob.http, ""))  # the path of Bob's own list, or of nothing
    assert status_code in (200, 404, 405)
    assert alices.encode() not in content
    assert rows(alice) == before
    assert comparable(call(alice.http, alices))[0] != 404  # it is there, for its own tenant


@pytest.mark.parametrize("route", MANY, ids=" ".join)
def test_nothing_of_another_tenant_is_shown_or_changed(
    alice: Caller, bob: Caller, bucket: Any, route: tuple[str, str]
) -> None:
    call = ROUTES[route].call
    call(bob.http, "")  # notes the key's first use
    empty = comparable(call(bob.http, ""))
    make_endpoint(alice)
    for status in ("queued", "succeeded", "failed"):
        put_in(alice, status)
    make_generation(alice.with_key())
    before = rows(alice)
    assert comparable(call(bob.http, "")) == empty
    assert rows(alice) == before
