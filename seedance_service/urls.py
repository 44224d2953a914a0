from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from seedance_service import metrics

urlpatterns = [
    path("", RedirectView.as_view(url="/docs")),
    path("", include("generations.api.urls")),
    path("", include("tenants.urls")),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("docs/", RedirectView.as_view(url="/docs")),
    path("metrics", metrics.view, name="metrics"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
]
handler400 = "seedance_service.problems.bad_request"
handler404 = "seedance_service.problems.not_found"
handler500 = "seedance_service.problems.server_error"
