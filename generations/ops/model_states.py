"""Operators' actions on a model of the catalogue: hide, deprecate, retire and restore it.

An action stores the state that takes the place of what the model's file says, in one transaction with its audit entry.
A retirement is effective once it is committed: no attempt of the model is recorded after it. Generations that are
queued by then fail, and their holds are released; those at the upstream go on to their end.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date
from typing import Any

from django.db import transaction

from generations import lifecycle, wakeups
from generations.catalog import states, video_models
from generations.catalog.states import ModelStatus
from generations.catalog.video_models import VideoModel
from generations.models import Generation, ModelState
from generations.upstream import manual_pauses, routes
from tenants import audit, locks
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import NotPossible

State = ModelState.State
MAX_REASON_CHARS = 200  # the column's


def hide(actor: Actor, model: VideoModel) -> None:
    """Take the model out of the list that callers read. It works as before; an end that is announced stays."""

    def change(now: ModelStatus) -> dict[str, Any]:
        """Return the columns of a hidden model. Raise NotPossible for a retired one."""
        if now.is_retired:
            raise NotPossible(reason=f"{model} is retired: restore it first.")
        return {**_end_of(now), "state": State.HIDDEN}

    _set_state(actor, "hide", model, change)


def deprecate(actor: Actor, model: VideoModel, retires_at: date | None = None, replacement: str = "") -> None:
    """Announce the end of the model, and the model that takes its place.

    `retires_at` is the first day without it, in UTC; None if the day is not known yet. Raise NotPossible for a day that
    has begun, or a replacement that is no model or leads back to this one.
    """

    def change(now: ModelStatus) -> dict[str, Any]:
        """Return the columns of a deprecated model. Raise NotPossible."""
        if now.is_retired:
            raise NotPossible(reason=f"{model} is retired: restore it first.")
        if retires_at and retires_at <= _today():
            raise NotPossible(reason=f"{retires_at} has begun (UTC): give a later day, or retire the model now.")
        columns = {"state": State.DEPRECATED, "retires_at": retires_at, "announced_at": now.announced_at or _today()}
        return {**columns, "replacement": _check_replacement(model, replacement)}

    _set_state(actor, "deprecate", model, change)


def retire(actor: Actor, model: VideoModel, replacement: str = "") -> int:
    """Refuse creates with the model from now on. Return how many queued generations fail by it.

    Without a `replacement` the one that is announced stays. Raise NotPossible if the model is retired, or for a
    replacement that is no model or leads back to this one.
    """

    def change(now: ModelStatus) -> dict[str, Any]:
        """Return the columns of a retired model. Raise NotPossible."""
        if now.is_retired:
            raise NotPossible(reason=f"{model} is retired already.")
        named = _check_replacement(model, replacement) if replacement else now.replacement or ""
        announced_at = min(now.announced_at or _today(), _today())
        return {"state": State.RETIRED, "retires_at": _today(), "announced_at": announced_at, "replacement": named}

    with transaction.atomic():
        locks.hold_submits()
        queued = Generation.objects.filter(model=model.id, status=Generation.Status.QUEUED).count()
        _set_state(actor, "retire", model, change, queued=queued)
        routes.end_pauses(model.id)
    lifecycle.release_waiting(manual_pauses.held_by(manual_pauses.Scope.MODEL, model.id))
    wakeups.wake_worker()  # which fails what is queued
    return queued


def restore(actor: Actor, model: VideoModel) -> None:
    """Make the model active without an end, whatever its file says."""

    def change(now: ModelStatus) -> dict[str, Any]:
        """Return the columns of an active model. Raise NotPossible for one that is active already."""
        if now.state == State.ACTIVE and now.retires_at is None:
            raise NotPossible(reason=f"{model} is active.")
        return {"state": State.ACTIVE, "retires_at": None, "announced_at": None, "replacement": ""}

    _set_state(actor, "restore", model, change)


def _set_state(
    actor: Actor, action: str, model: VideoModel, change: Callable[[ModelStatus], dict[str, Any]], **facts: Any
) -> None:
    """Store the columns that `change` returns for the present state, with the audit entry. Raise NotPossible."""
    audit.require_reason(actor)
    with transaction.atomic():
        locks.hold_submits()  # so that two actions, and a submit's look at the state, come one after the other
        before = states.read(model)
        columns = {**change(before), "reason": actor.reason[:MAX_REASON_CHARS], "changed_at": clock.now()}
        ModelState.objects.update_or_create(model=model.id, defaults=columns)
        changes = {"before": _as_json(before), "after": _as_json(states.read(model)), **facts}
        audit.record(actor, f"model: {action}", None, model.id, changes)
        transaction.on_commit(states.forget)


def _end_of(status: ModelStatus) -> dict[str, Any]:
    """Return the columns of an announced end, as they are."""
    columns = {"retires_at": status.retires_at, "announced_at": status.announced_at}
    return {**columns, "replacement": status.replacement or ""}


def _as_json(status: ModelStatus) -> Mapping[str, str | None]:
    """Return the state for the audit log."""
    day = status.retires_at.isoformat() if status.retires_at else None
    return {"state": str(status.state), "retires_at": day, "replacement": status.replacement}


def _check_replacement(model: VideoModel, name: str) -> str:
    """Return the replacement's id; an empty text stays one. Raise NotPossible if it can not take the model's place."""
    if not name:
        return ""
    if video_models.get(name) is None:
        raise NotPossible(reason=f"There is no model {name!r} in the catalogue.")
    if name == model.id:
        raise NotPossible(reason="A model can not take its own place.")
    if model.id in states.replacements_of(name):
        raise NotPossible(reason=f"{name} is itself replaced by {model}: name another model.")
    return name


def _today() -> date:
    """Return the present day in UTC."""
    return clock.now().astimezone(UTC).date()
