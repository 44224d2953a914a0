"""The routes of generations, usage and webhooks, in both APIs."""

from django.urls import path

from generations.api import generation_actions, generations, models, novita, quotes, upstream_callbacks, usage, webhooks
from generations.catalog import video_models
from generations.upstream import callbacks

# Django tries the patterns one after the other: those of most requests come first.
urlpatterns = [
    path("v1/generations", generations.Generations.as_view()),
    path("v1/generations/quote", quotes.QuoteView.as_view()),
    path("v1/generations/<str:generation_id>", generations.OneGeneration.as_view()),
    *(path(route.lstrip("/"), novita.submit_view(model).as_view()) for route, model in video_models.by_route().items()),
    path("v3/async/task-result", novita.TaskResult.as_view()),
    path("v1/generations/<str:generation_id>/cancel", generation_actions.Cancel.as_view()),
    path("v1/generations/<str:generation_id>/rerun", generation_actions.RerunView.as_view()),
    path("v1/generations/<str:generation_id>/events", generation_actions.Events.as_view()),
    path("v1/generations/<str:generation_id>/video", generation_actions.Video.as_view()),
    path("v1/generations/<str:generation_id>/poster", generation_actions.Poster.as_view()),
    path("v1/models", models.Models.as_view()),
    path("v1/models/<str:model_id>", models.OneModel.as_view()),
    path("v1/webhook-endpoints", webhooks.Endpoints.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>", webhooks.OneEndpoint.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/rotate-secret", webhooks.RotateSecret.as_view()),
    path("v1/webhook-endpoints/<str:endpoint_id>/test", webhooks.SendTest.as_view()),
    path("v1/webhook-secret/rotate", webhooks.RotateTenantSecret.as_view()),
    path("v1/webhook-deliveries", webhooks.Deliveries.as_view()),
    path("v1/webhook-deliveries/<str:delivery_id>", webhooks.OneDelivery.as_view()),
    path("v1/webhook-deliveries/<str:delivery_id>/redeliver", webhooks.Redeliver.as_view()),
    path("v1/usage", usage.UsageView.as_view()),
    path(f"{callbacks.PATH}<str:reference>", upstream_callbacks.UpstreamCallback.as_view()),
]
