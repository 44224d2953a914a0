from django.apps import AppConfig
from django.db.backends.signals import connection_created

from tenants.db.engine import on_connect


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        connection_created.connect(on_connect)
