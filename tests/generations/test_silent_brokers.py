"""A broker that accepts connections and never answers holds up no request, no supervisor and no probe for long."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from botocore.exceptions import BotoCoreError
from django_q.conf import Conf

from generations import redis_broker, sqs, wakeups
from generations.models import Slot
from generations.worker import direct_runs
from seedance_service import settings as service_settings
from tests.support.factories import Caller
from tests.support.silent_server import SilentServer


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    """Yield a server that never answers."""
    with SilentServer() as server:
        yield server
        wakeups._sender.finish()


def use(monkeypatch: Any, settings: Any, url: str) -> None:
    """Use the broker of that BROKER_URL, as a process does that was started with it."""
    options = service_settings.broker(url)
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "BROKER_CLASS", options["broker_class"])
    monkeypatch.setattr(Conf, "REDIS", options.get("redis", {}))
    monkeypatch.setattr(Conf, "SQS", options.get("sqs"))
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, **options}
    monkeypatch.setattr(wakeups, "_sender", wakeups.Sender())


@pytest.fixture(params=["redis", "sqs"])
def silent_broker(request: Any, silent: SilentServer, monkeypatch: Any, settings: Any) -> SilentServer:
    """Use a broker of each kind that never answers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{silent.port}")
    use(
        monkeypatch,
        settings,
        f"redis://127.0.0.1:{silent.port}/0" if request.param == "redis" else "sqs://eu-west-1/wake-ups",
    )
    return silent


@pytest.mark.django_db(transaction=True)
def test_creates_are_answered_while_the_broker_says_nothing(
    alice: Caller, silent_broker: SilentServer, bucket: Any, body: dict[str, Any]
) -> None:
    """The server has not answered when the creates have their answers: it answers nothing until the test ends."""
    for seed in range(3):
        assert alice.http.post("/v1/generations", {**body, "seed": seed}, format="json").status_code == 202
    assert silent_broker.asked.wait(30)
    assert Slot.objects.get().wake_up_until > wakeups.FREE
    assert [thread.name for thread in threading.enumerate()].count("broker") <= 1


def test_no_client_of_a_broker_waits_without_limit(monkeypatch: Any, settings: Any, silent: SilentServer) -> None:
    """The limits are shorter here, so that the test is; the client has no others."""
    monkeypatch.setattr(redis_broker, "ANSWER_SECONDS", 0.05)
    use(monkeypatch, settings, f"redis://127.0.0.1:{silent.port}/0")
    with pytest.raises(redis.TimeoutError):
        wakeups.check_broker()
    monkeypatch.setattr(sqs, "LIMITS", sqs.LIMITS.merge(sqs.Config(read_timeout=0.05)))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{silent.port}")
    use(monkeypatch, settings, "sqs://eu-west-1/wake-ups")
    with pytest.raises(BotoCoreError):
        wakeups.check_broker()


def test_an_option_of_the_url_goes_before_the_limit(monkeypatch: Any, settings: Any) -> None:
    use(monkeypatch, settings, "redis://127.0.0.1:1/0?socket_timeout=60")
    pool = redis_broker.BoundedRedis("x").connection.connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 60
    assert pool.connection_kwargs["socket_connect_timeout"] == redis_broker.CONNECT_SECONDS


@pytest.mark.django_db(transaction=True)
def test_the_supervisor_sees_that_a_silent_broker_does_not_answer(
    silent_broker: SilentServer, monkeypatch: Any
) -> None:
    monkeypatch.setattr(direct_runs, "BROKER_SECONDS", 0.1)
    assert not direct_runs.does_broker_answer()


@pytest.mark.django_db(transaction=True)
def test_the_database_as_the_broker_answers() -> None:
    assert direct_runs.does_broker_answer()


def test_a_wake_up_that_is_asked_for_while_another_is_sent_is_sent_after_it(monkeypatch: Any) -> None:
    sender, sent, first, go_on = wakeups.Sender(), [], threading.Event(), threading.Event()

    def send(task: str) -> None:
        sent.append(task)
        first.set()
        assert go_on.wait(10)

    monkeypatch.setattr(wakeups, "async_task", send)
    sender.ask()
    assert first.wait(10)
    for _ in range(5):
        sender.ask()
    thread = sender._thread
    assert thread
    go_on.set()
    thread.join(10)
    assert sent == [wakeups.SWEEP] * 2
    sender.ask()  # by another thread
    sender.finish()
    assert len(sent) == 3
