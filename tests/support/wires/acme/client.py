"""The calls of Acme's wire."""

from datetime import datetime

from generations.outbound import http_dates
from generations.upstream import exchanges
from generations.upstream.answers import Answer
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import Account

from . import answers

JOBS = "/jobs"


def create(account: Account, content: bytes) -> SubmitOutcome:
    """Send one paid POST."""
    return exchanges.submit(account, JOBS, content, answers.parse_submit)


def read(account: Account, job: str) -> PollOutcome:
    """Read a job's state. Raise UpstreamError."""
    return exchanges.call(account, "GET", f"{JOBS}/{job}", lambda answer: answers.parse_job(answer, job), task=job)


def check(account: Account) -> datetime | None:
    """Check our key by reading no job. Return the answer's date. Raise UpstreamError."""

    def parse(answer: Answer) -> datetime | None:
        answers.check_account(answer)
        return http_dates.parse_date(answer.headers.get("Date", ""))

    return exchanges.call(account, "GET", f"{JOBS}/none", parse)
