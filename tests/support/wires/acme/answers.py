"""Parse Acme's answers into outcomes."""

from generations.foreign_text import clean
from generations.upstream.answers import Answer, in_doubt
from generations.upstream.errors import AccountError, UpstreamError, WrongTask
from generations.upstream.json_bodies import decode
from generations.upstream.outcomes import (
    Created,
    Failed,
    NotCreated,
    PollOutcome,
    Refused,
    Rendered,
    Rendering,
    RouteGone,
    SubmitOutcome,
)

NO_JOB = ""


def parse_submit(answer: Answer) -> SubmitOutcome:
    """Return what the answer to a submit means. An answer that is not plain leaves it in doubt."""
    fields = decode(answer.content).fields
    if answer.status == 201 and isinstance(fields.get("job"), str):
        return Created(fields["job"])
    words = clean(fields.get("fault") or "")
    match words:
        case "busy" | "unpaid":
            return NotCreated(words)
        case "no such kind":
            return RouteGone(words)
        case "bad inputs":
            return Refused(words, clean(fields.get("about") or ""))
    return in_doubt(answer, f"HTTP {answer.status} is not plain")


def parse_job(answer: Answer, job: str) -> PollOutcome:
    """Return what the answer about a job means. Raise UpstreamError."""
    fields = decode(answer.content).fields
    if fields.get("job") != job:
        raise WrongTask("the answer is about another job")
    match fields.get("state"):
        case "waiting":
            return Rendering(0)
        case "done":
            return Rendered(fields["film"], fields.get("seed"), fields.get("tokens"))
        case "broken":
            return Failed("the job broke")
    raise UpstreamError("the job has no state")


def check_account(answer: Answer) -> None:
    """Raise AccountError if Acme refuses our key."""
    if answer.status == 401:
        raise AccountError("the key is refused")
