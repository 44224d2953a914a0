from django.urls import path

from tenants.views import LimitsView

urlpatterns = [path("v1/limits", LimitsView.as_view())]
