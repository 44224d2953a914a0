"""The routes of the API, by which its handler resolves paths; urls.py includes them for the OpenAPI document."""

from generations.api.urls import urlpatterns as generations_urls
from tenants.urls import urlpatterns as tenants_urls

urlpatterns = [*generations_urls, *tenants_urls]
handler400 = "seedance_service.errors.views.bad_request"
handler404 = "seedance_service.errors.views.not_found"
handler500 = "seedance_service.errors.views.server_error"
