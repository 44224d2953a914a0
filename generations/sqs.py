"""django-q2's broker for SQS, with the credentials that are meant for AWS. Only BROKER_URL=sqs://… loads it."""

from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django_q.brokers.aws_sqs import QUEUE_DOES_NOT_EXIST, Sqs

from generations import aws

# A silent service is an error after these seconds, instead of minutes. A request for messages waits for 5 of them.
LIMITS = Config(connect_timeout=1, read_timeout=8, retries={"total_max_attempts": 1})


class SqsBroker(Sqs):  # type: ignore[misc]
    """SQS by `aws.queue_session`: django-q2 itself takes keys without a session token, and sets no time limit."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Session:  # noqa: ARG004  # its name is django-q2's
        """Return the session that signs calls to SQS."""
        return aws.queue_session(settings.Q_CLUSTER["sqs"]["aws_region"])

    def get_queue(self) -> Any:
        """Return the queue, and create it first if there is none."""
        self.sqs = self.connection.resource("sqs", config=LIMITS)
        try:
            return self.sqs.get_queue_by_name(QueueName=self.list_key)
        except ClientError as error:
            if error.response["Error"]["Code"] != QUEUE_DOES_NOT_EXIST:
                raise
        return self.sqs.create_queue(QueueName=self.list_key)
