from django.urls import path

from generations import catalog
from generations.api import native, novita, usage

urlpatterns = [
    path(catalog.SEEDANCE_V1_LITE_I2V.path.lstrip("/"), novita.Submit.as_view()),
    path("v3/async/task-result", novita.TaskResult.as_view()),
    path("v1/generations", native.Generations.as_view()),
    path("v1/generations/<str:generation_id>", native.OneGeneration.as_view(), name="generation"),
    path("v1/usage", usage.UsageView.as_view()),
]
