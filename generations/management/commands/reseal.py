"""The command `reseal`: encrypt the webhook secrets by a changed SECRET_KEY, so that the old key can be removed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generations.webhooks import signing_secrets
from tenants import audit
from tenants.management.options import add_reason, shell_actor


class Command(BaseCommand):
    """Encrypt all webhook secrets by the present SECRET_KEY."""

    help = "Encrypt the webhook secrets by SECRET_KEY. SECRET_KEY_FALLBACKS must hold the key they are encrypted by."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option of the reason."""
        add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Encrypt the secrets and print their number. Raise CommandError if no key decrypts some of them."""
        count, lost = signing_secrets.reencrypt_all()
        facts = {"encrypted": count, "lost": len(lost)}
        audit.record(shell_actor(options["reason"]), "reseal webhook secrets", None, "all tenants", facts)
        self.stdout.write(f"{count} webhook secrets are encrypted by the present SECRET_KEY.")
        if lost:
            names = "\n".join(f"  {name}" for name in lost)
            raise CommandError(f"No known key decrypts these secrets. Rotate them:\n{names}")
