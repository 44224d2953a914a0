"""After SECRET_KEY was changed: the secrets of webhooks, sealed by the new one, so that the old one can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generations.webhooks import signing_secrets


class Command(BaseCommand):
    help = "Seal the secrets of webhooks by SECRET_KEY; SECRET_KEY_FALLBACKS hold the one that they were sealed by."

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = signing_secrets.reencrypt_all()
        self.stdout.write(f"{done} webhook secrets are sealed by the present SECRET_KEY.")
        if lost:
            told = "\n".join(f"  {one}" for one in lost)
            raise CommandError(f"No known key opens these; they must be rotated:\n{told}")
