from django.apps import AppConfig
from django.db.backends.signals import connection_created

from tenants.db.engine import engine


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        connection_created.connect(engine.on_connect)
