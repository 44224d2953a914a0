from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from seedance_service.docs.pages import only_read
from seedance_service.http import metrics_endpoint
from seedance_service.panel import second_factor

urlpatterns = [
    path("", only_read(RedirectView.as_view(url="/docs"))),
    path("", include("seedance_service.urls_api")),
    path("admin/second-factor/", second_factor.view, name="second_factor"),
    path("admin/", admin.site.urls),
    path("admin", only_read(RedirectView.as_view(url="/admin/"))),
    path("metrics", only_read(metrics_endpoint.view), name="metrics"),
]
handler400 = "seedance_service.errors.views.bad_request"
handler404 = "seedance_service.errors.views.not_found"
handler500 = "seedance_service.errors.views.server_error"
