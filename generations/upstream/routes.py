"""Models whose route the upstream no longer has: their submits pause, and those of other models go on.

The pause is a ManualPause that the service orders itself. Every ASK_AGAIN_SECONDS one submit of the model is sent all
the same: a route that is gone costs nothing, and one that lives again ends the pause. An operator ends it by retiring
the model, which fails the generations that wait, or by resuming its submits.
"""

from datetime import timedelta

import structlog
from django.db.models import QuerySet

from generations.models import ManualPause
from generations.upstream import accounts, circuit_breaker, manual_pauses
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

GONE = "the upstream answered that the route is gone"


def pause(model: str, account: str, reason: str) -> None:
    """Pause the submits of a model at one account. `reason` is what the upstream said, for the log."""
    target = manual_pauses.model_at(model, account)
    facts = {"actor": manual_pauses.SERVICE, "reason": GONE}
    _, is_new = ManualPause.objects.get_or_create(scope=ManualPause.Scope.MODEL, target=target, defaults=facts)
    if not is_new:
        _own(model, account).update(since=clock.now())
    circuit_breaker.release_probe(account)
    if is_new:
        log.error("the route of a model is gone", model=model, upstream=account, reason=reason)


def claim_submit(model: str, account: str) -> bool:
    """Claim a submit of the model at the account. Return True if there is no pause, or this one asks again."""
    now = clock.now()
    own = _own(model, account)
    if not own.exists():
        return True
    return own.filter(since__lte=now - timedelta(seconds=manual_pauses.ASK_AGAIN_SECONDS)).update(since=now) > 0


def end_pause(model: str, account: str) -> bool:
    """End the pause of a model whose route lives again. Return whether there was one."""
    own = _own(model, account)
    return own.exists() and own.delete()[0] > 0


def _own(model: str, account: str) -> QuerySet[ManualPause]:
    """Return the pause of the model that the service ordered at one account."""
    return find_gone().filter(target=manual_pauses.model_at(model, account))


def find_gone() -> QuerySet[ManualPause]:
    """Return the pauses of models whose route is gone, the oldest first."""
    return ManualPause.objects.filter(scope=ManualPause.Scope.MODEL, actor=manual_pauses.SERVICE).order_by("since")


def is_gone(pause: ManualPause) -> bool:
    """Return whether the service ordered the pause, because a route is gone."""
    return pause.actor == manual_pauses.SERVICE


def model_of(pause: ManualPause) -> str:
    """Return the model that the pause holds."""
    return pause.target.partition(manual_pauses.AT)[0]


def end_pauses(model: str) -> None:
    """End the pauses of the model that the service ordered: an operator has decided about the model."""
    find_gone().filter(target__in=[manual_pauses.model_at(model, account) for account in accounts.names()]).delete()
