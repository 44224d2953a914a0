"""Makes a local stack's database, bucket, static files, admin and demo tenant, where they are not there yet.

Prints the demo tenant's API key: the one given in SEEDANCE_API_KEY where it is still good, else a new one.
"""

import os

import django
from django.core.management import call_command

django.setup()

from django.contrib.auth import get_user_model

from generations.bucket import client
from tenants import actions
from tenants.audit import Actor
from tenants.errors import InvalidKey
from tenants.keys.lookup import find_key
from tenants.models import Tenant


def main() -> None:
    call_command("migrate", verbosity=0)
    client.ensure_bucket()
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    _admin(os.environ["ADMIN_PASSWORD"])
    print(_demo_key(os.environ.get("SEEDANCE_API_KEY", "")))


def _admin(password: str) -> None:
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", password=password)


def _demo_key(known: str) -> str:
    actor = Actor(name="make run", reason="the demo tenant")
    tenant = Tenant.objects.filter(name="demo").first() or actions.create_tenant(actor, "demo")
    try:
        find_key(known)
    except InvalidKey:
        return actions.create_key(actor, tenant, label="make run").text
    return known


if __name__ == "__main__":
    main()
