"""django-q2's broker for SQS, with the credentials that are meant for AWS. Only BROKER_URL=sqs://… loads it."""

from boto3.session import Session
from django.conf import settings
from django_q.brokers.aws_sqs import Sqs

from generations import aws


class SqsBroker(Sqs):  # type: ignore[misc]
    """SQS by `aws.queue_session`: django-q2 itself takes keys without a session token."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Session:  # noqa: ARG004  # its name is django-q2's
        """Return the session that signs calls to SQS."""
        return aws.queue_session(settings.Q_CLUSTER["sqs"]["aws_region"])
