"""The addresses of the API, which its handler resolves by; urls.py has them too, for the OpenAPI document."""

from generations.api.urls import urlpatterns as generations_urls
from tenants.urls import urlpatterns as tenants_urls

urlpatterns = [*generations_urls, *tenants_urls]
handler400 = "seedance_service.errors.responses.bad_request"
handler404 = "seedance_service.errors.responses.not_found"
handler500 = "seedance_service.errors.responses.server_error"
