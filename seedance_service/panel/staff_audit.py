"""The audit entries about users, roles and their permissions, whatever page, command or shell changes them.

Django's signals are the one place that all of them pass. The panel's pages write an entry in the transaction of the
change. A login is no change; the log has each page that a user opens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from tenants import audit
from tenants.audit import Actor
from tenants.management.options import shell_actor

FIELDS = {
    User: ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser", "password"),
    Group: ("name",),
}
KINDS = {User: "user", Group: "role"}
MAX_REASON_CHARS = 200
_request: ContextVar[HttpRequest | None] = ContextVar("panel_request", default=None)
_actor: ContextVar[Actor | None] = ContextVar("panel_actor", default=None)


class StaffAuditMiddleware:
    """Remember the request while it is answered: its user is the actor of what changes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self._get_response(request)
        finally:
            _request.reset(token)


@contextmanager
def acting_as(named: Actor) -> Iterator[None]:
    """Let another than the request's user be the actor: a user who is being signed in is not the request's yet."""
    token = _actor.set(named)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> Actor:
    """Return the panel's user who sent the request, with the reason of the form, or the user of the shell."""
    if named := _actor.get():
        return named
    request = _request.get()
    if request is None:
        return shell_actor()
    reason = " ".join(request.POST.get("reason", "").split())
    return Actor(name=request.user.get_username(), reason=reason[:MAX_REASON_CHARS])


@receiver(pre_save, sender=User)
@receiver(pre_save, sender=Group)
def remember_stored_values(sender: Any, instance: Any, update_fields: Any, **_: Any) -> None:
    """Read what is stored, to compare it with what is being saved."""
    names = [name for name in FIELDS[sender] if update_fields is None or name in update_fields]
    # A login stores its time, and sometimes a stronger hash of the same password: neither changes anything.
    if update_fields is not None and set(names) <= {"password"} and getattr(instance, "_password", None) is None:
        names = []
    instance._audited = (names, sender._default_manager.filter(pk=instance.pk).values(*names).first() if names else {})


@receiver(post_save, sender=User)
@receiver(post_save, sender=Group)
def record_saved(sender: Any, instance: Any, created: bool, **_: Any) -> None:
    """Record a new user or role, or the values that have changed."""
    names, stored = instance._audited
    if created:
        values = {name: getattr(instance, name) for name in FIELDS[sender] if name != "password"}
        audit.record(actor(), f"create {KINDS[sender]}", None, str(instance), values)
        return
    changes = {name: [(stored or {}).get(name), getattr(instance, name)] for name in names}
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    if "password" in changes:
        changes["password"] = ["hidden", "hidden"]
    if changes:
        audit.record(actor(), f"change {KINDS[sender]}", None, str(instance), changes)


@receiver(pre_delete, sender=User)
@receiver(pre_delete, sender=Group)
def record_deleted(sender: Any, instance: Any, **_: Any) -> None:
    """Record a deleted user with the roles, or a deleted role with the users who had it."""
    others = instance.groups if sender is User else instance.user_set
    names = sorted(str(other) for other in others.all())
    facts = {"roles" if sender is User else "users": names}
    audit.record(actor(), f"delete {KINDS[sender]}", None, str(instance), facts)


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
@receiver(m2m_changed, sender=Group.permissions.through)
def record_grants(instance: Any, action: str, reverse: bool, model: Any, pk_set: Any, **_: Any) -> None:
    """Record which roles or permissions a user or a role was given, or lost."""
    verb = {"post_add": "grant", "post_remove": "revoke", "pre_clear": "revoke"}.get(action)
    if verb is None:
        return
    others = model._default_manager.filter(pk__in=pk_set) if pk_set is not None else _cleared(instance, reverse, model)
    pairs = [(other, [instance]) for other in others] if reverse else [(instance, list(others))]
    for holder, granted in pairs:
        if granted:
            kind = "permissions" if isinstance(granted[0], Permission) else "roles"
            names = sorted(_name(each) for each in granted)
            audit.record(actor(), f"{verb} {kind}", None, str(holder), {kind: names})


def _cleared(instance: Any, reverse: bool, model: Any) -> Any:
    """Return the rows that are being taken from the instance."""
    names = {(User, Group): "groups", (User, Permission): "user_permissions", (Group, Permission): "permissions"}
    pair = (model, type(instance)) if reverse else (type(instance), model)
    manager = "user_set" if reverse and pair[0] is User else "group_set" if reverse else names[pair]
    return getattr(instance, manager).all()


def _name(granted: Any) -> str:
    if isinstance(granted, Permission):
        return f"{granted.content_type.app_label}.{granted.codename}"
    return str(granted)
