"""Remove the second factor of a user who has lost an authenticator."""

from argparse import ArgumentParser
from typing import Any

import structlog
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants import audit
from tenants.management.options import add_reason, shell_actor, user_name

log = structlog.stdlib.get_logger(__name__)


class Command(BaseCommand):
    help = "Remove a user's second factor. Make sure first who asks for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        reset: ArgumentParser = actions.add_parser("reset", help="remove it; the next login sets up another one")
        reset.add_argument("user", help="the name that the user logs in with")
        add_reason(reset)

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete the user's authenticators, and log by whom."""
        name = options["user"]
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name!r}.")
        with transaction.atomic():
            removed, _ = TOTPDevice.objects.filter(user=user).delete()
            if not removed:
                raise CommandError(f"{name} has no second factor.")
            audit.record(shell_actor(options["reason"]), "reset second factor", None, name, {})
        log.warning("a second factor was taken away", user=name, by=user_name())
        self.stdout.write(f"The next login of {name} sets up another second factor.")
