from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from seedance_service.docs.pages import only_read
from seedance_service.http import metrics_endpoint
from seedance_service.panel import recovery_code_page, second_factor, staff_login
from seedance_service.panel.company_login import views as company_login

urlpatterns = [
    path("", only_read(RedirectView.as_view(url="/docs"))),
    path("", include("seedance_service.urls_api")),
    path("admin/second-factor/", second_factor.view, name="second_factor"),
    path("admin/recovery-codes/", recovery_code_page.view, name="recovery_codes"),
    path("admin/company-login/", company_login.start, name="company_login"),
    path("admin/company-login/callback/", company_login.callback, name="company_login_callback"),
    path("admin/login/", staff_login.log_in, name="log_in"),
    path("admin/logout/", staff_login.log_out, name="log_out"),
    path("admin/", admin.site.urls),
    path("admin", only_read(RedirectView.as_view(url="/admin/"))),
    path("metrics", only_read(metrics_endpoint.view), name="metrics"),
]
handler400 = "seedance_service.errors.views.bad_request"
handler404 = "seedance_service.errors.views.not_found"
handler500 = "seedance_service.errors.views.server_error"
