"""Redis as the broker of django-q2, with a time limit for each answer."""

from typing import Any

import redis
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 2.5  # an idle worker waits for a message for 1 s at a time


class BoundedRedis(Redis):  # type: ignore[misc]  # django-q2 has no types
    """A broker whose silent server is an error after ANSWER_SECONDS. Options in BROKER_URL go before these limits."""

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Store no statistics of a cluster: nothing reads them, and in an outage each would be an error in the log."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:  # noqa: ARG004  django-q2 passes it
        """Return a client, which connects at its first use."""
        no_retry = Retry(NoBackoff(), 0)  # a wake-up is not worth a second try
        return redis.from_url(
            Conf.REDIS, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS, retry=no_retry
        )
