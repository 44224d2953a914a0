"""Webhooks under /v1/: a tenant's endpoints and their secrets, and the log of what was delivered."""

from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from generations.api import pagination
from generations.api import webhook_schemas as shapes
from generations.api.fields import validated
from generations.errors import DeliveryNotFound, WebhookEndpointNotFound
from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import endpoints
from tenants import times
from tenants.api.base import ApiView, key_of, respond
from tenants.audit import Actor
from tenants.errors import Refusal
from tenants.models import ApiKey

Row = TypeVar("Row", bound=Model)


class WebhookView(ApiView):
    scopes = dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), ApiKey.Scope.WEBHOOKS)


def own_endpoints(request: Request) -> QuerySet[WebhookEndpoint]:
    """A test key sees those of tests, a live one the rest."""
    key = key_of(request)
    return WebhookEndpoint.objects.filter(tenant=key.tenant_id, test=key.test, deleted_at=None).order_by("id")


def own_endpoint(request: Request, text: str) -> WebhookEndpoint:
    return _found(own_endpoints(request), text, WebhookEndpointNotFound)


def own_deliveries(request: Request) -> QuerySet[Delivery]:
    key = key_of(request)
    return Delivery.objects.filter(tenant=key.tenant_id, test=key.test)


def own_delivery(request: Request, text: str) -> Delivery:
    return _found(own_deliveries(request).select_related("endpoint", "tenant"), text, DeliveryNotFound)


def _found(rows: QuerySet[Row], text: str, missing: type[Refusal]) -> Row:
    """Return the row of that id. Another tenant's, an unknown and a malformed id are the same to its caller."""
    try:
        return rows.get(pk=UUID(text))
    except (ValueError, ObjectDoesNotExist) as error:
        raise missing from error


def act_of(request: Request) -> Actor:
    return Actor(name=f"key:{key_of(request).prefix}")


class Endpoints(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_list", summary="Webhook endpoints, oldest first", responses=shapes.EndpointList
    )
    def get(self, request: Request) -> HttpResponse:
        return respond({"webhook_endpoints": [shapes.endpoint(row) for row in own_endpoints(request)]})

    @extend_schema(
        operation_id="webhook_endpoints_create",
        summary="Make a webhook endpoint",
        request=shapes.EndpointCreate,
        responses={201: shapes.NewEndpoint},
    )
    def post(self, request: Request) -> HttpResponse:
        """Its secret is in this answer, and in no other."""
        key = key_of(request)
        wanted = validated(shapes.EndpointCreate, request.data)
        made, secret = endpoints.create(act_of(request), key.tenant, wanted.pop("url"), test=key.test, **wanted)
        return respond({**shapes.endpoint(made), "secret": secret}, status=201)


class OneEndpoint(WebhookView):
    @extend_schema(operation_id="webhook_endpoints_get", summary="One webhook endpoint", responses=shapes.EndpointRow)
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        return respond(shapes.endpoint(own_endpoint(request, endpoint_id)))

    @extend_schema(
        operation_id="webhook_endpoints_change",
        summary="Change, disable or enable a webhook endpoint",
        request=shapes.EndpointChange,
        responses=shapes.EndpointRow,
    )
    def patch(self, request: Request, endpoint_id: str) -> HttpResponse:
        """What is not given stays as it is. All of it is done, or nothing."""
        actor, found = act_of(request), own_endpoint(request, endpoint_id)
        wanted = validated(shapes.EndpointChange, request.data)
        turn = {True: endpoints.enable, False: endpoints.disable}.get(wanted.pop("enabled", None))
        with transaction.atomic():
            changed = endpoints.change(actor, found, **wanted)
            return respond(shapes.endpoint(turn(actor, changed) if turn else changed))

    @extend_schema(
        operation_id="webhook_endpoints_delete",
        summary="Delete a webhook endpoint",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, endpoint_id: str) -> HttpResponse:
        """What is under way to it has failed; its deliveries stay in the log."""
        endpoints.delete(act_of(request), own_endpoint(request, endpoint_id))
        return respond(status=204)


class RotateSecret(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_rotate_secret",
        summary="Give a webhook endpoint a new secret",
        request=shapes.Rotation,
        responses=shapes.NewSecret,
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Both sign while the overlap lasts."""
        found = own_endpoint(request, endpoint_id)
        return _rotated(*endpoints.rotate_secret(act_of(request), found, _overlap(request)))


class RotateTenantSecret(WebhookView):
    @extend_schema(
        operation_id="webhook_secret_rotate",
        summary="A new secret for the `webhook_url`s of single generations",
        request=shapes.Rotation,
        responses=shapes.NewSecret,
    )
    def post(self, request: Request) -> HttpResponse:
        """The first one is had by this too. Both sign while the overlap lasts."""
        key = key_of(request)
        return _rotated(
            *endpoints.rotate_tenant_secret(act_of(request), key.tenant, test=key.test, overlap=_overlap(request))
        )


class SendTest(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_test",
        summary="Send a `webhook.test` event to a webhook endpoint",
        request=None,
        responses={202: shapes.DeliveryRow},
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        sent = endpoints.send_test(own_endpoint(request, endpoint_id))
        return respond(shapes.delivery(sent), status=202)


class Deliveries(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_list",
        summary="Webhook deliveries, newest first",
        parameters=[shapes.Filters],
        responses=shapes.DeliveryList,
    )
    def get(self, request: Request) -> HttpResponse:
        asked = validated(shapes.Filters, request.query_params)
        wanted = {name: asked[name] for name in ("endpoint", "generation", "status") if name in asked}
        rows = own_deliveries(request).filter(**wanted)
        found = pagination.page(request, rows, pagination.NEWEST_FIRST, asked["limit"], asked.get("cursor"))
        body = {"webhook_deliveries": [shapes.delivery(row) for row in found.rows], "next_cursor": found.next_cursor}
        return respond(body, headers=found.headers)


class OneDelivery(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_get",
        summary="One webhook delivery, with its attempts",
        responses=shapes.OneDelivery,
    )
    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        return respond(shapes.whole_delivery(own_delivery(request, delivery_id)))


class Redeliver(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_redeliver",
        summary="Send a webhook delivery again",
        request=None,
        responses={202: shapes.DeliveryRow},
    )
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """The same message with the same id, at once; its schedule begins anew."""
        endpoints.redeliver(act_of(request), own_delivery(request, delivery_id))
        return respond(shapes.delivery(own_delivery(request, delivery_id)), status=202)


def _overlap(request: Request) -> timedelta:
    return timedelta(hours=validated(shapes.Rotation, request.data)["overlap_hours"])


def _rotated(secret: str, until: Any) -> HttpResponse:
    return respond({"secret": secret, "previous_secret_until": times.rfc3339(until)})
