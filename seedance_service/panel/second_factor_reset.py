"""The reset of a second factor, for a user who has lost the authenticator and the recovery codes."""

from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from seedance_service.panel import sessions
from tenants import audit
from tenants.admin.action_page import ActionPage
from tenants.admin.forms import ActionForm
from tenants.audit import Actor
from tenants.errors import NotPossible

log = structlog.stdlib.get_logger(__name__)


def has_second_factor(user: User) -> bool:
    """Return whether the user has set up an authenticator."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def reset(actor: Actor, user: User, **_: Any) -> str:
    """Delete the user's authenticator and recovery codes, and end the user's sessions.

    Return what was done, as a sentence. Raise NotPossible if the user has no second factor.
    """
    name = user.get_username()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        devices = [TOTPDevice.objects.filter(user=user), StaticDevice.objects.filter(user=user)]
        if not sum(rows.delete()[0] for rows in devices):
            raise NotPossible(reason=f"{name} has no second factor.")
        sessions.end_all(user)
        audit.record(actor, "reset second factor", None, name, {})
    log.warning("a second factor was taken away", user=name, by=actor.name)
    return f"The next login of {name} sets up another second factor. All earlier sessions are ended."


RESET = ActionPage(
    "Reset second factor",
    "Make sure first who asks for it. The authenticator and the recovery codes of the user are deleted, and all "
    "sessions of the user end. The next login sets up another authenticator.",
    ActionForm,
    reset,
    "danger",
)
