"""SQS as the broker of django-q2, with a time limit for each answer."""

from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from django_q.brokers.aws_sqs import Sqs
from django_q.conf import Conf

# A request for messages waits at SQS for `receive_message_wait_time_seconds`, which is 5.
LIMITS = Config(connect_timeout=1, read_timeout=8, retries={"total_max_attempts": 1})


class BoundedSqs(Sqs):  # type: ignore[misc]  # django-q2 has no types
    """A broker whose silent service is an error after the seconds of LIMITS, instead of minutes."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:  # noqa: ARG004  django-q2 passes it
        """Return a session whose clients have the LIMITS."""
        core = botocore.session.get_session()
        core.set_default_client_config(LIMITS)
        options = dict(Conf.SQS)
        options.pop("receive_message_wait_time_seconds", None)
        return boto3.Session(botocore_session=core, region_name=options.pop("aws_region"), **options)
