"""Django's `createsuperuser`, which asks the password validators without a terminal too."""

import os
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

NAMES = ("username", "email")  # a password must not be similar to them


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse a DJANGO_SUPERUSER_PASSWORD that the validators refuse; with a terminal, Django asks them itself."""
        password = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
        if not options["interactive"] and password is not None:
            names = {
                name: options.get(name) or os.environ.get(f"DJANGO_SUPERUSER_{name.upper()}", "") for name in NAMES
            }
            try:
                validate_password(password, User(**names))
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        super().handle(*args, **options)
