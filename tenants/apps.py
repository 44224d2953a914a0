"""The Django app of tenants, their keys, limits and money."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from tenants.db.engine import engine


class TenantsConfig(AppConfig):
    """The app's configuration."""

    name = "tenants"

    def ready(self) -> None:
        """Let the engine set up each new database connection."""
        connection_created.connect(engine.on_connect)
