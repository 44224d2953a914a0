"""A made-up wire, Acme's: jobs of a kind, at one path. Tests add this package to the upstreams as it is."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from django.conf import settings

from generations.upstream.errors import UpstreamError
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import (
    Account,
    CancelRefused,
    ListedTask,
    ListPage,
    Probe,
    TaskRequest,
    Uncalibrated,
)

from . import answers, client


class AcmeWire:
    """Acme's wire. It neither lists nor cancels jobs, and its sandbox is none."""

    name = "acme"
    can_cancel = False

    def accounts(self) -> tuple[Account, ...]:
        """Return Acme's account, whose settings a test gives, and a sandbox that is not configured."""
        url, key = getattr(settings, "ACME_BASE_URL", ""), getattr(settings, "ACME_API_KEY", "")
        own = Account("acme", self.name, url, key, key_setting="ACME_API_KEY", url_setting="ACME_BASE_URL")
        return own, Account("sandbox", self.name, "", "")

    def encode(self, request: TaskRequest) -> bytes:
        """Return the body of the submit."""
        images = {name: request.values[name] for name in request.model.image_fields if name in request.values}
        inputs = {**request.values, **{name: request.write_image(image) for name, image in images.items()}}
        given = {name: value for name, value in inputs.items() if value is not None}
        return msgspec.json.encode({"kind": request.offer.target, "inputs": given})

    def submit(self, account: Account, target: str, content: bytes) -> SubmitOutcome:
        """Send one paid POST."""
        return client.create(account, content)

    def get(self, account: Account, upstream_id: str) -> PollOutcome:
        """Read a job's state."""
        return client.read(account, upstream_id)

    def read_task(self, account: Account, upstream_id: str) -> ListedTask:
        """Raise UpstreamError."""
        raise UpstreamError("a job does not say which request it was made from")

    def list_tasks(self, account: Account, target: str) -> Iterator[ListPage]:
        """Raise UpstreamError."""
        raise UpstreamError("there is no list of jobs")

    def cancel(self, account: Account, upstream_id: str) -> None:
        """Raise CancelRefused."""
        raise CancelRefused("no job is cancelled")

    def check_account(self, account: Account) -> datetime | None:
        """Return None: a job of no id says nothing about the clock."""
        return client.check(account)

    def probe(self, account: Account, targets: Iterable[str]) -> Iterator[Probe]:
        """Raise Uncalibrated."""
        raise Uncalibrated("only a paid job names a kind")

    def parse_callback(self, content: bytes) -> str:
        """Return "": there are no callbacks."""
        return answers.NO_JOB


WIRE = AcmeWire()
