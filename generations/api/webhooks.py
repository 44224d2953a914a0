"""Webhooks under /v1/: a tenant's endpoints and their secrets, and the log of deliveries."""

from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from generations.api import pagination
from generations.api import webhook_schemas as schemas
from generations.api.fields import validate
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
    """A view that a key needs the webhooks scope for, in every method."""

    scopes = dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), ApiKey.Scope.WEBHOOKS)


def own_endpoints(request: Request) -> QuerySet[WebhookEndpoint]:
    """Return the caller's endpoints, oldest first. A test key sees those of test mode, a live key the others."""
    key = key_of(request)
    return WebhookEndpoint.objects.filter(tenant=key.tenant_id, test=key.test, deleted_at=None).order_by("id")


def get_own_endpoint(request: Request, text: str) -> WebhookEndpoint:
    """Return the caller's endpoint with this id. Raise WebhookEndpointNotFound."""
    return _get(own_endpoints(request), text, WebhookEndpointNotFound)


def own_deliveries(request: Request) -> QuerySet[Delivery]:
    """Return the caller's deliveries. A test key sees those of test mode, a live key the others."""
    key = key_of(request)
    return Delivery.objects.filter(tenant=key.tenant_id, test=key.test)


def get_own_delivery(request: Request, text: str) -> Delivery:
    """Return the caller's delivery with this id. Raise DeliveryNotFound."""
    return _get(own_deliveries(request).select_related("endpoint", "tenant"), text, DeliveryNotFound)


def _get(rows: QuerySet[Row], text: str, missing: type[Refusal]) -> Row:
    """Return the row with this id. Raise the same error for another tenant's, an unknown and a malformed id."""
    try:
        return rows.get(pk=UUID(text))
    except (ValueError, ObjectDoesNotExist) as error:
        raise missing from error


def actor_of(request: Request) -> Actor:
    """Return the actor for the audit: the caller's key."""
    return Actor(name=f"key:{key_of(request).prefix}")


class Endpoints(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_list",
        summary="List webhook endpoints, oldest first",
        responses=schemas.EndpointList,
    )
    def get(self, request: Request) -> HttpResponse:
        return respond({"webhook_endpoints": [schemas.render_endpoint(row) for row in own_endpoints(request)]})

    @extend_schema(
        operation_id="webhook_endpoints_create",
        summary="Create a webhook endpoint",
        request=schemas.EndpointCreate,
        responses={201: schemas.NewEndpoint},
    )
    def post(self, request: Request) -> HttpResponse:
        """The endpoint's secret is in this answer, and in no other."""
        key = key_of(request)
        body = validate(schemas.EndpointCreate, request.data)
        endpoint, secret = endpoints.create(actor_of(request), key.tenant, body.pop("url"), test=key.test, **body)
        return respond({**schemas.render_endpoint(endpoint), "secret": secret}, status=201)


class OneEndpoint(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_get", summary="Get a webhook endpoint", responses=schemas.EndpointRow
    )
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        return respond(schemas.render_endpoint(get_own_endpoint(request, endpoint_id)))

    @extend_schema(
        operation_id="webhook_endpoints_change",
        summary="Change, disable or enable a webhook endpoint",
        request=schemas.EndpointChange,
        responses=schemas.EndpointRow,
    )
    def patch(self, request: Request, endpoint_id: str) -> HttpResponse:
        """A field that is not given stays as it is. All changes are made, or none."""
        actor, endpoint = actor_of(request), get_own_endpoint(request, endpoint_id)
        body = validate(schemas.EndpointChange, request.data)
        switch = {True: endpoints.enable, False: endpoints.disable}.get(body.pop("enabled", None))
        with transaction.atomic():
            endpoint = endpoints.change(actor, endpoint, **body)
            return respond(schemas.render_endpoint(switch(actor, endpoint) if switch else endpoint))

    @extend_schema(
        operation_id="webhook_endpoints_delete",
        summary="Delete a webhook endpoint",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Pending deliveries to the endpoint fail. Its deliveries stay in the log."""
        endpoints.delete(actor_of(request), get_own_endpoint(request, endpoint_id))
        return respond(status=204)


class RotateSecret(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_rotate_secret",
        summary="Rotate an endpoint's secret",
        request=schemas.Rotation,
        responses=schemas.NewSecret,
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Both the old and the new secret sign while the overlap lasts."""
        endpoint = get_own_endpoint(request, endpoint_id)
        return _respond_with_secret(*endpoints.rotate_secret(actor_of(request), endpoint, _overlap(request)))


class RotateTenantSecret(WebhookView):
    @extend_schema(
        operation_id="webhook_secret_rotate",
        summary="Rotate the secret for the `webhook_url`s of generations",
        request=schemas.Rotation,
        responses=schemas.NewSecret,
    )
    def post(self, request: Request) -> HttpResponse:
        """This is how to get the first secret, too. Both the old and the new secret sign while the overlap lasts."""
        key = key_of(request)
        return _respond_with_secret(
            *endpoints.rotate_tenant_secret(actor_of(request), key.tenant, test=key.test, overlap=_overlap(request))
        )


class SendTest(WebhookView):
    @extend_schema(
        operation_id="webhook_endpoints_test",
        summary="Send a `webhook.test` event to a webhook endpoint",
        request=None,
        responses={202: schemas.DeliveryRow},
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        delivery = endpoints.send_test(get_own_endpoint(request, endpoint_id))
        return respond(schemas.render_delivery(delivery), status=202)


class Deliveries(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_list",
        summary="List webhook deliveries, newest first",
        parameters=[schemas.Filters],
        responses=schemas.DeliveryList,
    )
    def get(self, request: Request) -> HttpResponse:
        query = validate(schemas.Filters, request.query_params)
        filters = {name: query[name] for name in ("endpoint", "generation", "status") if name in query}
        rows = own_deliveries(request).filter(**filters)
        read = partial(pagination.read_newest, rows)
        page = pagination.load_page(request, read, query["limit"], query.get("cursor"))
        deliveries = [schemas.render_delivery(row) for row in page.rows]
        return respond({"webhook_deliveries": deliveries, "next_cursor": page.next_cursor}, headers=page.headers)


class OneDelivery(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_get",
        summary="Get a webhook delivery with its attempts",
        responses=schemas.OneDelivery,
    )
    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        return respond(schemas.render_with_attempts(get_own_delivery(request, delivery_id)))


class Redeliver(WebhookView):
    @extend_schema(
        operation_id="webhook_deliveries_redeliver",
        summary="Send a webhook delivery again",
        request=None,
        responses={202: schemas.DeliveryRow},
    )
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """The same message is sent with the same id, at once. A new schedule of attempts begins."""
        endpoints.redeliver(actor_of(request), get_own_delivery(request, delivery_id))
        return respond(schemas.render_delivery(get_own_delivery(request, delivery_id)), status=202)


def _overlap(request: Request) -> timedelta:
    """Return how long the old secret signs too, as the body says."""
    return timedelta(hours=validate(schemas.Rotation, request.data)["overlap_hours"])


def _respond_with_secret(secret: str, until: Any) -> HttpResponse:
    return respond({"secret": secret, "previous_secret_until": times.rfc3339(until)})
