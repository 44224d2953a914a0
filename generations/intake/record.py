"""The one transaction of a create: row, labels, hold, first event and counters, all or nothing."""

from collections.abc import Sequence

from generations import lifecycle
from generations.models import Generation
from generations.telemetry.failpoints import failpoint
from tenants.db.operations import Statement
from tenants.limits import admission, windows
from tenants.limits.windows import Charge, LimitUsage


def admit_and_record(generation: Generation, audit_entries: Sequence[Statement] = ()) -> list[LimitUsage]:
    """Write the generation, its hold and its counters in one transaction; return the usage of each limit after it.

    `audit_entries` are INSERTs that belong to the same transaction. Raise what `admission.admit` raises.
    """
    usage_charges = charges(generation)
    assert generation.api_key is not None
    writes = [*lifecycle.prepare_inserts(generation, usage_charges), *audit_entries]
    required, count = lifecycle.required_inputs(generation.image_id, generation.last_image_id)
    failpoint("accept_before_commit")
    limit_usage = admission.admit(generation.api_key, usage_charges, writes, required, count)
    lifecycle.log_transition(generation, "accepted")
    failpoint("accept_committed")
    return limit_usage


def charges(generation: Generation) -> list[Charge]:
    """Return the charges of the generation to the usage windows in which it was created."""
    assert generation.api_key is not None
    zone = generation.api_key.tenant.zone
    return windows.charges(generation.price_micro, generation.duration, generation.created_at, zone)
