"""Compares the database's schema with the migrations of this release."""

import pkgutil
from functools import cache
from importlib import import_module

from django.apps import apps
from django.db.migrations.loader import MigrationLoader

from tenants.db.engine import engine


def missing_migrations() -> set[tuple[str, str]]:
    """Return the migrations of this release that the database has not, as (app, name).

    Those of a newer release are no matter: it leaves the schema as this one needs it. Raise Django's database errors.
    """
    applied = engine.run("SELECT app, name FROM django_migrations", [])
    return set(_of_this_release()) - {(app, name) for app, name in applied}


@cache
def _of_this_release() -> frozenset[tuple[str, str]]:
    """Return all migrations by the names of their files. To import them, as Django does, would take a second."""
    found = set()
    for app in apps.get_app_configs():
        module, _ = MigrationLoader.migrations_module(app.label)
        if module is None:  # the settings name none for this app
            continue
        try:
            paths = import_module(module).__path__
        except (ModuleNotFoundError, TypeError):  # an app without migrations
            continue
        found |= {(app.label, each.name) for each in pkgutil.iter_modules(paths) if each.name[0] not in "_~"}
    return frozenset(found)
