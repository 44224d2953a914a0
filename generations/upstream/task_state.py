"""Reads of a generation's task at the upstream, measured and traced: for polls, copies and cancels."""

import time

from generations.models import Generation
from generations.telemetry import metrics, tracing
from generations.upstream import accounts, outcomes, poll_pauses
from generations.upstream.errors import AccountError, WrongTask


def read(generation: Generation) -> outcomes.PollOutcome:
    """Return the state of the generation's task. Raise UpstreamError if the upstream gives no clear answer.

    An error of our account pauses the account's polls.
    """
    assert generation.upstream_id is not None  # the schema's rule for a running row
    started_ns, label = time.time_ns(), "trouble"
    account, wire = accounts.of(generation)
    try:
        outcome = wire.get(account, generation.upstream_id)
        label = outcomes.LABELS[type(outcome)]
        poll_pauses.record_answer(account.name)
        return outcome
    except AccountError as error:
        label = "account"
        poll_pauses.record_refusal(account.name, error)
        raise
    except WrongTask:
        label = "wrong_task"
        raise
    finally:
        metrics.UPSTREAM_CALLS.labels("poll", label, account.name).inc()
        if label != "rendering":  # there are many of these, and their spans would say nothing
            tracing.record_generation_span("poll", generation, started_ns, outcome=label)
