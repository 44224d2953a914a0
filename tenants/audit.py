"""The audit log: one entry for each action of an operator, written in the transaction of the action."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.errors import NotPossible
from tenants.models import AuditEntry, Tenant

_insert = Insert(AuditEntry)


@dataclass(frozen=True)
class Actor:
    """The person or program that acts, and why."""

    name: str  # as the audit log shows it: a user of the panel, shell:NAME, key:PREFIX
    reason: str = ""


def record(actor: Actor, action: str, tenant: Tenant, target: str, changes: Mapping[str, Any]) -> None:
    """Write the audit entry of an action, in the action's own transaction."""
    engine.run(*insert_statement(actor, action, tenant, target, changes))


def insert_statement(actor: Actor, action: str, tenant: Tenant, target: str, changes: Mapping[str, Any]) -> Statement:
    """Return the INSERT of the audit entry, for a transaction that is not the ORM's."""
    return _insert.with_values(
        actor=actor.name, action=action, tenant_id=tenant.pk, target=target, changes=dict(changes), reason=actor.reason
    )


def require_reason(actor: Actor) -> None:
    """Raise NotPossible if the actor gives no reason."""
    if not actor.reason.strip():
        raise NotPossible(reason="This action needs a reason.")
