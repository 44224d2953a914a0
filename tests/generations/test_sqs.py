"""django-q2's broker for SQS signs with AWS's credentials, token included, and not with those of another store."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django_q.conf import Conf

from generations import sqs
from seedance_service.settings import broker
from tests.support.aws_agent import session_of

pytestmark = pytest.mark.usefixtures("no_credentials")


@pytest.fixture(autouse=True)
def by_sqs(settings: Any) -> None:
    """Use a queue of SQS as the broker."""
    settings.Q_CLUSTER = {**django_settings.Q_CLUSTER, **broker("sqs://eu-central-1/wake-ups")}


def test_django_q2_loads_this_broker() -> None:
    module, _, name = broker("sqs://eu-central-1/wake-ups")["broker_class"].rpartition(".")
    assert (module, name) == (sqs.__name__, sqs.SqsBroker.__name__)
    assert hasattr(Conf, "BROKER_CLASS")


def test_a_temporary_key_goes_to_sqs_with_its_token(settings: Any) -> None:
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = "ASIA", "secret"
    settings.AWS_SESSION_TOKEN = "token"
    session = sqs.SqsBroker.get_connection()
    assert session.region_name == "eu-central-1"
    assert session.get_credentials().get_frozen_credentials()[:3] == ("ASIA", "secret", "token")


def test_the_keys_of_another_store_stay_with_that_store(settings: Any, agent: Any) -> None:
    agent(session_of(minutes=600))
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = "minio", "secret"
    settings.S3_ENDPOINT_URL = "https://minio.internal:9000"
    assert sqs.SqsBroker.get_connection().get_credentials().access_key == "ASIAROLE"


def test_a_queue_is_asked_with_the_token(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = "ASIA", "secret"
    settings.AWS_SESSION_TOKEN = "token"
    seen = dict[str, str]()

    def send(request: Any, **_: Any) -> None:
        seen.update({name.lower(): str(value) for name, value in request.headers.items()})
        raise ConnectionError

    session = sqs.SqsBroker.get_connection()
    queue = session.client("sqs")
    queue.meta.events.register_first("before-send", send)
    with pytest.raises(ConnectionError):
        queue.list_queues()
    assert "token" in seen["x-amz-security-token"]
