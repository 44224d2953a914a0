"""Makes a local stack's database, bucket, static files, admin and demo tenant, where they are not there yet.

Prints the demo tenant's API key: the one given in SEEDANCE_API_KEY where it is still good, else a new one.
"""

import hashlib
import os

import django
from django.conf import settings
from django.core.management import call_command

django.setup()

from django.contrib.auth import get_user_model

from generations import storage
from tenants import administration
from tenants.administration import Act
from tenants.authentication import find
from tenants.errors import InvalidKey
from tenants.models import Tenant


def main() -> None:
    call_command("migrate", verbosity=0)
    storage.ensure_bucket()
    _collect_static()
    _admin(os.environ["ADMIN_PASSWORD"])
    print(_demo_key(os.environ.get("SEEDANCE_API_KEY", "")))


def _collect_static() -> None:
    """Once for the packages of one lock and our own files; the stamp is written last, so that an interrupted start does
    it again."""
    stamp, sources = settings.VAR / "static.lock", _sources()
    if not stamp.exists() or stamp.read_text() != sources:
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.write_text(sources)


def _sources() -> str:
    lock = (settings.BASE_DIR / "requirements" / "run.txt").read_bytes()
    own = sorted(path for path in settings.BASE_DIR.glob("*/static/**/*") if path.is_file())
    return hashlib.sha256(b"".join([lock, *(path.read_bytes() for path in own)])).hexdigest()


def _admin(password: str) -> None:
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", password=password)


def _demo_key(known: str) -> str:
    act = Act(by="make run", reason="the demo tenant")
    tenant = Tenant.objects.filter(name="demo").first() or administration.create_tenant(act, "demo")
    try:
        find(known)
    except InvalidKey:
        return administration.mint_key(act, tenant, label="make run").text
    return known


if __name__ == "__main__":
    main()
