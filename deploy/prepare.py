"""Create the database, bucket, static files, admin user and demo tenant of a local stack, if they are missing.

Print an API key of the demo tenant: the key in SEEDANCE_API_KEY if it is still valid, or else a new key.
"""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

try:
    django.setup()
except ImproperlyConfigured as error:  # a wrong setting, or a wrong file of the catalogue
    sys.exit(str(error))

from django.contrib.auth import get_user_model

from generations import wakeups
from generations.bucket import client
from generations.models import Worker
from tenants import actions
from tenants.audit import Actor
from tenants.errors import InvalidKey
from tenants.keys.lookup import find_key
from tenants.models import Tenant


def main() -> None:
    """Prepare everything, and print the API key as the last line."""
    call_command("migrate", verbosity=0)
    # A heartbeat is proof of a worker of this start alone: waiting.until_worker_works() relies on that.
    Worker.objects.filter(pk=wakeups.host()).update(heartbeat_at=None)
    client.ensure_bucket()
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    _create_admin(os.environ["ADMIN_PASSWORD"])
    print(_find_or_create_key(os.environ.get("SEEDANCE_API_KEY", "")))


def _create_admin(password: str) -> None:
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", password=password)


def _find_or_create_key(key: str) -> str:
    actor = Actor(name="make run", reason="the demo tenant")
    tenant = Tenant.objects.filter(name="demo").first() or actions.create_tenant(actor, "demo")
    try:
        find_key(key)
    except InvalidKey:
        return actions.create_key(actor, tenant, label="make run").text
    return key


if __name__ == "__main__":
    main()
