"""The audit log: one entry for each action of an operator, written in the transaction of the action.

A form of the panel acts once: its token is in the audit entry, and no two entries have the same token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError

from tenants import masked_urls
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.errors import DoneBefore, NotPossible
from tenants.models import AuditEntry, Tenant

_insert = Insert(AuditEntry)


@dataclass(frozen=True)
class Actor:
    """The person or program that acts, and why."""

    name: str  # as the audit log shows it: a user of the panel, shell:NAME, key:PREFIX
    reason: str = ""
    form_token: str | None = None  # of the form that was sent; it acts once

    def without_form(self) -> "Actor":
        """Return the actor of a further audit entry of the same action: only one entry has the form's token."""
        return replace(self, form_token=None)


def record(actor: Actor, action: str, tenant: Tenant | None, target: str, changes: Mapping[str, Any]) -> None:
    """Write the audit entry of an action, in the action's own transaction.

    `tenant` is None for an action that concerns no tenant, or all of them. Raise DoneBefore, which takes the action
    back, if the form of `actor` has acted before.
    """
    try:
        engine.run(*insert_statement(actor, action, tenant, target, changes))
    except IntegrityError as error:
        if actor.form_token is None:
            raise
        raise DoneBefore from error


def insert_statement(
    actor: Actor, action: str, tenant: Tenant | None, target: str, changes: Mapping[str, Any]
) -> Statement:
    """Return the INSERT of the audit entry, for a transaction that is not the ORM's.

    Of a URL among the changes, the entry has the host: every reader of the log would see a token in its path.
    """
    return _insert.with_values(
        actor=actor.name,
        action=action,
        tenant_id=tenant.pk if tenant else None,
        target=target,
        changes=masked_urls.mask_all(dict(changes)),
        reason=actor.reason,
        form_token=actor.form_token,
    )


def find_by_form(form_token: str) -> AuditEntry | None:
    """Return the audit entry of what the form with this token did. Return None if it has not acted."""
    entry: AuditEntry | None = AuditEntry.objects.filter(form_token=form_token).first()
    return entry


def require_reason(actor: Actor) -> None:
    """Raise NotPossible if the actor gives no reason."""
    if not actor.reason.strip():
        raise NotPossible(reason="This action needs a reason.")
