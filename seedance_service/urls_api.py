"""The routes of the API and of its documentation, by which the API's handler resolves paths. urls.py includes them."""

from generations.api.urls import urlpatterns as generations_urls
from seedance_service.docs.urls import urlpatterns as docs_urls
from tenants.urls import urlpatterns as tenants_urls

urlpatterns = [*generations_urls, *tenants_urls, *docs_urls]
handler400 = "seedance_service.errors.views.bad_request"
handler404 = "seedance_service.errors.views.not_found"
handler500 = "seedance_service.errors.views.server_error"
