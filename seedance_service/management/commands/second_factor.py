"""Remove the second factor of a user who has lost an authenticator."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from seedance_service.panel.second_factor_reset import reset
from tenants.errors import NotPossible
from tenants.management.options import add_reason, shell_actor


class Command(BaseCommand):
    help = "Remove a user's second factor. Make sure first who asks for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        subparser: ArgumentParser = actions.add_parser("reset", help="remove it; the next login sets up another one")
        subparser.add_argument("user", help="the name that the user logs in with")
        add_reason(subparser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Reset the user's second factor, as the panel does, and print what was done."""
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        try:
            self.stdout.write(reset(shell_actor(options["reason"]), user))
        except NotPossible as error:
            raise CommandError(str(error)) from error
