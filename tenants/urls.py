"""The API routes of this app."""

from django.urls import path

from tenants.api.limits import LimitsView

urlpatterns = [path("v1/limits", LimitsView.as_view())]
