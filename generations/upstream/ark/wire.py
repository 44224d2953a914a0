"""The model maker's own API, Ark, or ModelArk: one path for all models, with a list of tasks, and a cancel.

The module `client` calls it, `body` writes a create, `answers` and `tasks` parse the answers.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from django.conf import settings

from generations.upstream.ark import answers, body, client
from generations.upstream.errors import UpstreamError
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import (
    Account,
    Balance,
    BilledHour,
    ListedTask,
    ListPage,
    Probe,
    TaskRequest,
    Uncalibrated,
)

NAME = "ark"
BELOW_NOVITA = "/v3/bytedance/metered"  # the same paths, with Novita's key
BELOW_SANDBOX = "/api/v3"


class ArkWire:
    """The wire of the model maker."""

    name = NAME
    can_cancel = True

    def accounts(self) -> tuple[Account, ...]:
        """Return the maker's account, Novita's, and the sandbox. Whether Novita lists tasks is not known."""
        return (
            Account(
                "ark",
                NAME,
                settings.ARK_BASE_URL,
                settings.ARK_API_KEY,
                key_setting="ARK_API_KEY",
                url_setting="ARK_BASE_URL",
                has_list=True,
                submits_per_minute=settings.ARK_RPM,
                max_unfinished=settings.ARK_CONCURRENCY,
            ),
            Account(
                "novita",
                NAME,
                _below(settings.NOVITA_BASE_URL, BELOW_NOVITA),
                settings.NOVITA_API_KEY,
                key_setting="NOVITA_API_KEY",
                url_setting="NOVITA_BASE_URL",
                is_guest=True,
                submits_per_minute=settings.UPSTREAM_RPM,
                max_unfinished=settings.UPSTREAM_CONCURRENCY,
            ),
            Account(
                "sandbox",
                NAME,
                _below(settings.SANDBOX_BASE_URL, BELOW_SANDBOX),
                settings.SANDBOX_API_KEY,
                key_setting="SANDBOX_API_KEY",
                url_setting="SANDBOX_BASE_URL",
                has_list=True,
            ),
        )

    def encode(self, request: TaskRequest) -> bytes:
        """Return the body of the create. Raise StorageError if an image can not be read."""
        return msgspec.json.encode(body.build(request))

    def submit(self, account: Account, target: str, content: bytes) -> SubmitOutcome:
        """Send one paid POST, whose body names the target, and return its outcome."""
        return client.create(account, content)

    def get(self, account: Account, upstream_id: str) -> PollOutcome:
        """Read a task's state. Raise UpstreamError if there is no clear answer: that means "not yet"."""
        return client.get_task(account, upstream_id)

    def read_task(self, account: Account, upstream_id: str) -> ListedTask:
        """Read what the upstream says of a task in any state. Raise UpstreamError; NoSuchTask if there is none."""
        return client.read_task(account, upstream_id)

    def list_tasks(self, account: Account, target: str) -> Iterator[ListPage]:
        """Yield all pages of the tasks of a model, of the last seven days, one request each. Raise UpstreamError."""
        return client.list_tasks(account, target)

    def cancel(self, account: Account, upstream_id: str) -> None:
        """Cancel a task that waits at the upstream. Raise CancelRefused, or UpstreamError if the answer is not clear.

        The same call deletes the record of a finished task, so the caller must have read that the task waits.
        """
        client.cancel(account, upstream_id)

    def check_account(self, account: Account) -> datetime | None:
        """Check our key, at no cost. Return the upstream's clock, or None. Raise UpstreamError with its reason."""
        return client.check_account(account)

    def read_balance(self, account: Account) -> Balance:
        """Raise UpstreamError: this wire has no call for the account's money."""
        raise UpstreamError("the upstream shows no balance")

    def read_bills(self, account: Account, since: datetime, until: datetime) -> list[BilledHour]:
        """Raise UpstreamError: this wire has no call for bills."""
        raise UpstreamError("the upstream shows no bills")

    def probe(self, account: Account, targets: Iterable[str]) -> Iterator[Probe]:
        """Raise Uncalibrated: only a create names a model there, and a create is paid for."""
        raise Uncalibrated("no probe of a model is free there: only a create names a model")

    def parse_callback(self, content: bytes) -> str:
        """Return the id of the task that a callback names; "" if it names none."""
        return answers.parse_callback(content)


def _below(base_url: str, path: str) -> str:
    """Return the address of a path below an address; nothing below none."""
    return f"{base_url}{path}" if base_url else ""


WIRE = ArkWire()
