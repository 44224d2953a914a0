"""The one transaction of a create: row, labels, hold, first event and counters, all or nothing."""

from collections.abc import Sequence

from django.db import transaction

from generations import lifecycle
from generations.models import Generation
from generations.telemetry.failpoints import failpoint
from tenants import locks
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.keys import allowed_models
from tenants.limits import admission, windows
from tenants.limits.windows import Charge, LimitUsage

MAX_TRIES = 3  # with a key that was read without a lock


def admit_and_record(generation: Generation, audit_entries: Sequence[Statement] = ()) -> list[LimitUsage]:
    """Write the generation, its hold and its counters in one transaction; return the usage of each limit after it.

    `audit_entries` are INSERTs that belong to the same transaction. Raise ModelNotAllowed, or what `admission.admit`
    raises, but for KeyChanged: a key that was changed since it was read is read again, at last under its lock.
    """
    failpoint("accept_before_commit")
    limit_usage = _admit(generation, audit_entries)
    lifecycle.log_transition(generation, "accepted")
    failpoint("accept_committed")
    return limit_usage


def _admit(generation: Generation, audit_entries: Sequence[Statement]) -> list[LimitUsage]:
    """Admit the generation by its key as the database has it, however often the key is changed during that."""
    for _ in range(MAX_TRIES):
        try:
            return _admit_once(generation, audit_entries)
        except admission.KeyChanged:
            assert generation.api_key is not None
            generation.api_key = admission.read_key(generation.api_key)
    (sql, values), _ = lifecycle.required_inputs(generation.image_id, generation.last_image_id)
    with transaction.atomic():
        engine.run(engine.with_row_locks(sql), values)  # images are locked before keys
        assert generation.api_key is not None
        generation.api_key = locks.lock_key(generation.api_key.pk)
        return _admit_once(generation, audit_entries)


def _admit_once(generation: Generation, audit_entries: Sequence[Statement]) -> list[LimitUsage]:
    """Admit the generation by its key as it was read. Raise ModelNotAllowed, or what `admission.admit` raises."""
    usage_charges = charges(generation)
    assert generation.api_key is not None
    allowed_models.check_model(generation.api_key, generation.model)
    writes = [*lifecycle.prepare_inserts(generation, usage_charges), *audit_entries]
    required, count = lifecycle.required_inputs(generation.image_id, generation.last_image_id)
    return admission.admit(generation.api_key, usage_charges, writes, required, count)


def charges(generation: Generation) -> list[Charge]:
    """Return the charges of the generation to the usage windows in which it was created."""
    assert generation.api_key is not None
    zone = generation.api_key.tenant.zone
    return windows.charges(generation.price_micro, generation.duration, generation.created_at, zone)
