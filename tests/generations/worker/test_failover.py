"""Which account a submit goes to: each failure of the first account, in each order, and what the next one receives.

The next account is asked only where the one before has surely created nothing. A refusal of the content, a doubt and a
limit of our own are never passed on.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from generations import leases, lifecycle
from generations.catalog import video_models
from generations.models import Generation, ManualPause, Pause
from generations.upstream import circuit_breaker
from generations.worker import steps
from tests.generations.test_lifecycle import put_in
from tests.support import ark_answers, made_up_wire, wired_models
from tests.support.factories import Caller, make_generation
from tests.support.patience import PATIENCE
from tests.support.upstream import Upstream, as_json, refusal
from tests.support.worker import claim_due, ledger_kinds, take_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

MODEL = "acme-everywhere-1-t2v"
NOVITA, ARK, ACME = "novita-async", "ark", "acme"
# Each account as ACCOUNT/WIRE, in the order of the model's file.
ORDERS = {
    "the maker, then novita metered": ["ark/ark", "novita/ark"],
    "novita, then the maker": ["novita/novita-async", "ark/ark"],
    "three accounts": ["ark/ark", "acme/acme", "novita/novita-async"],
}
GONE_HOST = "http://upstream.example:80"


@dataclass(frozen=True)
class Row:
    """What comes of the first account's failure: the paid POSTs that both accounts got, and the generation's state."""

    posts: tuple[int, int]
    status: str
    account: int | None  # 0: the first, 1: the second; None: no attempt
    outcomes: tuple[str, ...]  # of the attempts, in their order
    entries: tuple[str, ...] = ("hold",)


SECOND = Row((1, 1), "running", 1, ("not_created", "created"))
UNREACHED = Row((0, 1), "running", 1, ("not_created", "created"))
GONE = Row((1, 1), "running", 1, ("route_gone", "created"))
PASSED_OVER = Row((0, 1), "running", 1, ("created",))
REFUSED = Row((1, 0), "failed", 0, ("refused",), ("hold", "release"))
DOUBT = Row((1, 0), "in_doubt", 0, ("in_doubt",))
WAITS = Row((0, 0), "queued", None, ())
MADE = Row((1, 0), "running", 0, ("created",))

TABLE = {
    "refused connection": UNREACHED,
    "unknown host": UNREACHED,
    "wrong key": SECOND,
    "no balance": SECOND,
    "model not open": GONE,
    "too many requests": SECOND,
    "spend cap": SECOND,
    "content": REFUSED,
    "moderation": REFUSED,
    "server error": DOUBT,
    "reset after the body": DOUBT,
    "hang": DOUBT,
    "cut off": DOUBT,
    "open circuit": PASSED_OVER,
    "manual pause": PASSED_OVER,
    "our limit is full": WAITS,
    "created": MADE,
}
ANSWERS: dict[str, dict[str, Any]] = {
    ARK: {
        "wrong key": ark_answers.refusal(401, "AuthenticationError"),
        "no balance": ark_answers.refusal(403, "AccountOverdueError"),
        "model not open": ark_answers.refusal(404, "ModelNotOpen"),
        "too many requests": ark_answers.refusal(429, "ModelAccountRpmRateLimitExceeded"),
        "spend cap": ark_answers.refusal(429, "SetLimitExceeded"),
        "content": ark_answers.refusal(400, "InvalidParameter.duration"),
        "moderation": ark_answers.refusal(400, "InputTextSensitiveContentDetected"),
        "server error": ark_answers.refusal(500, "InternalServiceError"),
    },
    NOVITA: {
        "wrong key": refusal(401, "INVALID_API_KEY"),
        "no balance": refusal(403, "NOT_ENOUGH_BALANCE"),
        "model not open": refusal(404, "API_NOT_FOUND"),
        "too many requests": refusal(429, "RATE_LIMIT_EXCEEDED"),
        "spend cap": refusal(403, "BILLING_BALANCE_NOT_ENOUGH"),
        "content": refusal(400, "INVALID_REQUEST_BODY"),
        "moderation": refusal(400, "ILLEGAL_PROMPT"),
        "server error": refusal(500, "SOMETHING_NEW"),
    },
}


def create_task(handler: Any) -> Any:
    """Answer a create by the wire of its path."""
    number = f"{time.monotonic_ns()}"
    if handler.path.endswith("/contents/generations/tasks"):
        return ark_answers.created(f"cgt-20261129101500-{number[-5:]}{handler.server.server_port}")
    if handler.path == "/jobs":
        return as_json({"job": f"job-{number}"}, 201)
    return as_json({"task_id": f"upstream-{number}"})


def drop(handler: Any) -> None:
    """Close the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang(handler: Any) -> None:
    """Send an answer so slowly that its end is never seen."""
    try:
        for _ in range(40):
            handler.wfile.write(b"H")
            time.sleep(0.02)
    except OSError:
        return


def cut_off(handler: Any) -> None:
    """Begin an answer, and close the connection within its body."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    handler.wfile.flush()
    drop(handler)


class World:
    """Three scripted upstreams, the accounts that lead there, and a model that some of them offer in an order."""

    def __init__(self, settings: Any, folder: Path, caller: Caller) -> None:
        self.settings, self.folder, self.caller = settings, folder, caller
        self.upstreams = {name: Upstream() for name in ("novita", "ark", "acme")}
        for upstream in self.upstreams.values():
            upstream.on_submit = create_task
        settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY = self.upstreams["novita"].url, "the-key-of-novita"
        settings.ARK_BASE_URL, settings.ARK_API_KEY = f"{self.upstreams['ark'].url}/api/v3", "the-key-of-ark"
        settings.ACME_BASE_URL, settings.ACME_API_KEY = self.upstreams["acme"].url, "the-key-of-acme"

    def offer(self, order: list[str]) -> None:
        """Let the accounts offer the model in that order."""
        self.order, self.accounts = order, [offer.partition("/")[0] for offer in order]
        self.settings.CATALOG_DIR = wired_models.write(self.folder, MODEL, order[0].partition("/")[2], order)

    @property
    def first(self) -> Upstream:
        return self.upstreams[self.accounts[0]]

    def make(self) -> Generation:
        """Return a queued generation of the model."""
        return make_generation(self.caller, model=MODEL, prompt="a ship", seed=7)

    def posts(self) -> list[int]:
        """Return how many paid POSTs each account received, in the order of the offers."""
        return [len(self.upstreams[account].submits) for account in self.accounts]

    def fail(self, failure: str, monkeypatch: Any) -> None:
        """Let the first account fail in that way."""
        account, _, wire = self.order[0].partition("/")
        setting = f"{account.upper()}_BASE_URL"
        match failure:
            case "created":
                pass
            case "refused connection":
                setattr(self.settings, setting, "http://127.0.0.1:9")
            case "unknown host":
                setattr(self.settings, setting, GONE_HOST)
                monkeypatch.setattr(socket, "getaddrinfo", find_no_host)
            case "hang":
                monkeypatch.setattr(leases, "SUBMIT_CALL_SECONDS", 0.3)
                self.first.on_submit = hang
            case "reset after the body":
                self.first.on_submit = drop
            case "cut off":
                self.first.on_submit = cut_off
            case "open circuit":
                circuit_breaker.pause(account, "no balance", retry_after=60)
            case "manual pause":
                ManualPause.objects.create(scope="account", target=account, actor="olga", reason="a test")
            case "our limit is full":
                setattr(self.settings, "ARK_CONCURRENCY" if account == "ark" else "UPSTREAM_CONCURRENCY", 1)
                rendering, _ = put_in(self.caller, "running")
                Generation.objects.filter(pk=rendering.pk).update(account=account, wire=wire)
            case _:
                self.first.on_submit = ANSWERS[wire][failure]


look_up = socket.getaddrinfo


def find_no_host(host: Any, *args: Any, **options: Any) -> Any:
    """Resolve no name of another machine."""
    if host == "upstream.example":
        raise socket.gaierror(socket.EAI_NONAME, "there is no such name")
    return look_up(host, *args, **options)


@pytest.fixture
def world(alice: Caller, settings: Any, tmp_path: Path) -> Iterator[World]:
    """Yield the three upstreams; the third speaks a wire that a package of the tests adds."""
    with made_up_wire.add(made_up_wire.ACME):
        made = World(settings, tmp_path / "catalog", alice)
        yield made
        for upstream in made.upstreams.values():
            upstream.stop()


def take_steps(generation: Generation) -> Generation:
    """Take three steps while the generation is queued."""
    for _ in range(3):
        if generation.status == "queued":
            generation = take_step(generation)
    return generation


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("failure", TABLE)
def test_the_next_account_is_asked_only_where_the_first_has_surely_created_nothing(
    world: World, monkeypatch: Any, order: str, failure: str
) -> None:
    world.offer(ORDERS[order])
    generation, row = world.make(), TABLE[failure]
    world.fail(failure, monkeypatch)
    g = take_steps(generation)
    assert g.status == row.status
    assert world.posts() == [*row.posts, 0][: len(world.accounts)]
    assert ledger_kinds(g) == list(row.entries)
    account, _, wire = world.order[row.account].partition("/") if row.account is not None else ("", "", "")
    assert (g.account, g.wire) == (account, wire)
    attempts = list(g.attempts.order_by("number"))
    assert [attempt.outcome for attempt in attempts] == list(row.outcomes)
    skipped = len(world.accounts) if not attempts else int(row.posts[0] == 0 and len(attempts) == 1)
    assert [attempt.account for attempt in attempts] == world.accounts[skipped : skipped + len(attempts)]
    assert g.events.filter(status="submitting").count() == len(attempts)
    states = [event.status for event in g.events.all()]
    assert states == ["queued", *("submitting queued " * (len(attempts) - 1)).split(), *last_states(row)]
    if g.status == "running":
        assert g.upstream_id == attempts[-1].upstream_id


def last_states(row: Row) -> list[str]:
    """Return the statuses from the last attempt on."""
    return ["submitting", row.status] if row.outcomes else []


def test_a_create_that_failed_in_the_upstreams_own_step_goes_to_the_next_account(world: World) -> None:
    world.offer(ORDERS["novita, then the maker"])
    world.first.on_submit = refusal(500, "CREATE_TASK_FAILED")
    g = take_steps(world.make())
    assert (g.status, g.account, world.posts()) == ("running", "ark", [1, 1])
    assert [attempt.outcome for attempt in g.attempts.order_by("number")] == ["create_failed", "created"]


def test_the_third_account_is_asked_where_two_have_surely_created_nothing(world: World) -> None:
    world.offer(ORDERS["three accounts"])
    world.first.on_submit = ANSWERS[ARK]["no balance"]
    world.upstreams["acme"].on_submit = as_json({"fault": "no such kind"}, 404)
    g = take_steps(world.make())
    assert (g.status, g.account, g.wire, world.posts()) == ("running", "novita", NOVITA, [1, 1, 1])
    assert [attempt.account for attempt in g.attempts.order_by("number")] == world.accounts


def test_where_every_account_fails_the_generation_waits_with_its_hold(world: World) -> None:
    world.offer(ORDERS["three accounts"])
    for upstream, answer in zip(
        world.upstreams.values(),
        (ANSWERS[NOVITA]["no balance"], ANSWERS[ARK]["no balance"], as_json({"fault": "unpaid"}, 402)),
        strict=True,
    ):
        upstream.on_submit = answer
    g = world.make()
    for _ in range(6):
        g = take_step(g)
    assert (g.status, world.posts(), ledger_kinds(g)) == ("queued", [1, 1, 1], ["hold"])
    assert set(Pause.objects.values_list("upstream", flat=True)) == set(world.accounts)


def test_a_doubt_at_the_second_account_stays_there(world: World) -> None:
    world.offer(ORDERS["three accounts"])
    world.first.on_submit, world.upstreams["acme"].on_submit = ANSWERS[ARK]["too many requests"], drop
    g = take_steps(world.make())
    assert (g.status, g.account, world.posts()) == ("in_doubt", "acme", [1, 1, 0])


def test_a_generation_of_a_test_key_never_goes_to_a_live_account(world: World) -> None:
    world.offer(ORDERS["the maker, then novita metered"])
    sandbox = world.upstreams["acme"]  # a server that no account of this order leads to
    world.settings.SANDBOX_BASE_URL, world.settings.SANDBOX_API_KEY = sandbox.url, "the-key-of-the-sandbox"
    world.caller = world.caller.with_key(test=True)
    sandbox.on_submit = ANSWERS[ARK]["no balance"]
    g = world.make()
    for _ in range(4):
        g = take_step(g)
    assert (g.status, g.account, world.posts(), len(sandbox.submits)) == ("queued", "sandbox", [0, 0], 1)


def test_of_two_workers_one_probes_the_first_account_and_the_other_goes_to_the_second(world: World) -> None:
    """While the circuit of the first account is open, one submit at a time is its probe."""
    world.offer(ORDERS["the maker, then novita metered"])
    reached, answered = threading.Event(), threading.Event()

    def answer_late(handler: Any) -> Any:
        reached.set()
        assert answered.wait(PATIENCE)
        return create_task(handler)

    world.first.on_submit = answer_late
    circuit_breaker.pause("ark", "no balance")
    Pause.objects.update(probe_at=a_moment_ago())
    probing, *others = claimed(world, 4)
    worker = threading.Thread(target=advance, args=(probing,))
    worker.start()
    assert reached.wait(PATIENCE)
    for generation in others:
        steps.advance(generation)
    assert world.posts() == [1, 3]
    assert Pause.objects.get().probe_sent_at is not None
    answered.set()
    worker.join(PATIENCE)
    assert not Pause.objects.exists()
    assert accounts_of(Generation.objects.all()) == {"ark": 1, "novita": 3}

    [back] = claimed(world, 1)  # the first account takes submits again
    steps.advance(back)
    assert world.posts() == [2, 3]


def test_a_probe_that_fails_goes_to_the_second_account_with_its_next_attempt(world: World) -> None:
    world.offer(ORDERS["the maker, then novita metered"])
    world.first.on_submit = ANSWERS[ARK]["no balance"]
    circuit_breaker.pause("ark", "no balance")
    Pause.objects.update(probe_at=a_moment_ago())
    g = take_steps(world.make())
    assert (g.status, g.account, world.posts()) == ("running", "novita", [1, 1])
    assert Pause.objects.get().probes == 2


def test_workers_that_race_for_the_probe_send_one(world: World) -> None:
    """Each of four threads may have seen that a probe is due; one claims it, and no generation is sent twice."""
    world.offer(ORDERS["novita, then the maker"])
    world.first.on_submit = ANSWERS[NOVITA]["no balance"]
    circuit_breaker.pause("novita", "no balance")
    Pause.objects.update(probe_at=a_moment_ago())
    start = threading.Barrier(4)

    def race(generation: Generation) -> None:
        start.wait(PATIENCE)
        advance(generation)

    workers = [threading.Thread(target=race, args=(generation,)) for generation in claimed(world, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    for generation in Generation.objects.all():
        take_steps(generation)
    assert world.posts() == [1, 4]
    assert accounts_of(Generation.objects.filter(status="running")) == {"ark": 4}


def test_a_late_answer_names_the_account_of_its_own_attempt(world: World) -> None:
    """A generation in doubt is sent again, elsewhere; then the first attempt's answer comes after all."""
    world.offer(ORDERS["the maker, then novita metered"])
    [late] = claimed(world, 1)
    offers = video_models.models()[MODEL].offers
    attempt = lifecycle.start_submitting(late, offers[0], "")
    assert attempt is not None
    assert lifecycle.mark_in_doubt(Generation.objects.get(pk=late.pk), "the worker was lost")
    assert lifecycle.resubmit(Generation.objects.get(pk=late.pk), "an operator decided")
    assert lifecycle.start_submitting(Generation.objects.get(pk=late.pk), offers[1], "")
    assert lifecycle.mark_running(late, attempt, ark_answers.ID, 2)
    g = Generation.objects.get(pk=late.pk)
    assert (g.status, g.upstream_id, g.account, g.wire) == ("running", ark_answers.ID, "ark", "ark")


def accounts_of(generations: QuerySet[Generation]) -> Counter[str]:
    """Return how many of the generations went to each account."""
    return Counter(generations.values_list("account", flat=True))


def a_moment_ago() -> datetime:
    """Return a time at which a probe is due."""
    return timezone.now() - timedelta(seconds=1)


def claimed(world: World, count: int) -> list[Generation]:
    """Return so many claimed generations of the model."""
    for _ in range(count):
        world.make()
    return claim_due(count)


def advance(generation: Generation) -> None:
    """Take a step in a thread of its own."""
    try:
        steps.advance(generation)
    finally:
        connection.close()
