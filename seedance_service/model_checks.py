"""The doctor's checks of the models: ends that are near, routes that are gone, and whether each route still lives."""

from collections.abc import Iterator

from django.conf import settings
from django.db import Error

from generations.catalog import states, video_models
from generations.catalog.video_models import VideoModel
from generations.upstream import routes
from generations.upstream.novita import liveness
from generations.upstream.novita.liveness import Liveness, Probe
from seedance_service.findings import OK, WARNING, WRONG, Finding

DECIDE = "Retire the model, or resume its submits: `manage.py models retire`, `manage.py submits resume --model`."


def check_ends() -> Iterator[Finding]:
    """Check that no model ends soon, and that the upstream has the routes of all models that are used."""
    try:
        gone = sorted({routes.model_of(pause) for pause in routes.find_gone()})
        soon = states.ending_soon()
    except Error:
        return  # check_database has reported that
    for name in gone:
        fact = f"{name}: the upstream answered that the route is gone; its submits wait"
        yield Finding("models", WRONG, fact, DECIDE)
    for model, days in soon:
        replacement = states.of(model).replacement
        fix = f"Tell its callers to use {replacement}." if replacement else "Name a replacement, and tell its callers."
        yield Finding("models", WARNING, f"{model} ends in {days} days", fix)
    if not gone and not soon:
        yield Finding("models", OK, f"no model ends within {states.WARNED_DAYS} days")


def check_routes() -> Iterator[Finding]:
    """Ask the upstream whether the route of each model lives, with a bogus key: nothing is created or changed."""
    models = video_models.by_route()
    try:
        for probe in liveness.probe_all(settings.NOVITA_BASE_URL, models):
            yield _judge(models[probe.path], probe)
    except liveness.Uncalibrated as error:
        fact = f"the probe of the routes means nothing here: {error}"
        yield Finding("routes", WARNING, fact, "Compare the models with the upstream's notices by hand.")


def _judge(model: VideoModel, probe: Probe) -> Finding:
    """Return what the probe says of the model."""
    name, is_retired = f"route of {model}", states.of(model).is_retired
    match probe.liveness:
        case Liveness.LIVING:
            return Finding(name, OK, "lives, and the model is retired here" if is_retired else "lives")
        case Liveness.GONE if is_retired:
            return Finding(name, OK, "is gone, as the model is")
        case Liveness.GONE:
            fix = f"Look for the upstream's notice, then `manage.py models retire {model} --replacement MODEL`."
            return Finding(name, WRONG, f"is gone: {probe.fact}", fix)
        case Liveness.UNCLEAR:
            return Finding(
                name, WARNING, f"is unclear: {probe.fact}", "Look at the upstream's status page, and ask again."
            )
