"""The doctor's checks of models and their accounts: near ends, gone routes, mixed-up accounts, and living routes."""

from collections.abc import Iterator, Sequence

from django.db import Error

from generations.catalog import states, video_models
from generations.catalog.video_models import VideoModel
from generations.upstream import accounts, routes, wires
from generations.upstream.protocol import Account, Liveness, Probe, Uncalibrated
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


def check_accounts() -> Iterator[Finding]:
    """Check that no two accounts are mixed up, and that each model of the catalogue has one with a key."""
    configured = [account for account in accounts.load() if account.is_configured]
    live = [account for account in configured if accounts.is_live(account.name)]
    faults = [*_find_shared_addresses(live), *_find_keys_of_the_sandbox(configured)]
    unoffered = [
        model.id
        for model in video_models.models().values()
        if live and not accounts.is_offered(model) and not states.of(model).is_retired
    ]
    if unoffered:
        fact = f"no account with a key offers {', '.join(unoffered)}: creates are refused"
        faults.append(Finding("accounts", WARNING, fact, "Set the key of one of their accounts, or retire them."))
    yield from faults or [Finding("accounts", OK, f"with a key: {', '.join(sorted({row.name for row in live}))}")]


def _find_shared_addresses(live: Sequence[Account]) -> Iterator[Finding]:
    """Yield each pair of accounts with one address: a generation would go twice to the same upstream."""
    by_url: dict[str, Account] = {}
    for account in live:
        other = by_url.setdefault(account.base_url.rstrip("/"), account)
        if other.name != account.name:
            fact = f"the accounts {other.name} and {account.name} have the same address"
            yield Finding("accounts", WARNING, fact, f"Check {other.url_setting} and {account.url_setting}.")


def _find_keys_of_the_sandbox(configured: Sequence[Account]) -> Iterator[Finding]:
    """Yield each live account whose key the sandbox has too, unless it is the sandbox, as in a trial."""
    sandbox = {(account.api_key, account.base_url) for account in configured if not accounts.is_live(account.name)}
    keys, urls = {key for key, _ in sandbox}, {url for _, url in sandbox}
    for name, account in {row.name: row for row in configured if accounts.is_live(row.name)}.items():
        if account.api_key in keys and account.base_url not in urls:
            fact = f"the key of the account {name} is the sandbox's too, so test generations would show it there"
            yield Finding("accounts", WRONG, fact, f"Set {account.key_setting} and SANDBOX_API_KEY to different keys.")


def check_routes() -> Iterator[Finding]:
    """Ask each upstream whether it still has each model, where that is free: nothing is created or changed."""
    for account in accounts.load():
        if account.is_configured and accounts.is_live(account.name):
            yield from _check_models_at(account)


def _check_models_at(account: Account) -> Iterator[Finding]:
    """Ask one account for the models that it offers."""
    models = {
        offer.target: model
        for model in video_models.models().values()
        for offer in model.offers
        if (offer.account, offer.wire) == (account.name, account.wire)
    }
    try:
        for probe in wires.get(account.wire).probe(account, models) if models else ():
            yield _judge(models[probe.target], probe)
    except Uncalibrated as error:
        fact = f"the models at {account.name} over {account.wire} can not be asked for: {error}"
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
