from django.apps import AppConfig
from django.db.backends.signals import connection_created

from tenants import idle


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        connection_created.connect(idle.bound)
