"""The report of the lab: how often each promise was tried and broken, and the bound that this leaves."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from generations.telemetry.failpoints import NAMES
from tests.faults import ark_promises
from tests.faults.faulty_server import SECRET, sha256_of
from tests.faults.lab import ACCESS_KEY, ARK_KEY, LIMITED_TO, SUBMIT_DEADLINE, UPSTREAM_KEY, Lab
from tests.faults.promise import Promise

NEXT = {
    "queued": {"queued", "submitting", "running", "failed", "cancelled"},
    "submitting": {"queued", "in_doubt", "running", "failed"},
    "in_doubt": {"queued", "running", "failed"},
    "running": {"running", "copying", "failed"},
    "copying": {"copying", "succeeded", "failed"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}
# Failures that may happen here: the upstream said so, or the policy of a tenant, or an operator.
REASONS = {"upstream_failed", "upstream_refused", "submit_unconfirmed", "not_submitted"}
REASONS |= {"input_moderated", "output_moderated", "upstream_expired"}
# What no lab can hurt while it runs, and the test that does.
OWN_TESTS = {"a migration killed at each statement": "tests/tenants/db/test_migrating.py"}
# What matters most, and the beginnings of the promises that it breaks.
SUM = {
    "lost": ("G1 ", "G2 "),
    "paid twice": ("G6 ",),
    "in doubt for people although there is a list": ("G31 ",),
    "served with wrong bytes": ("G12", "G15"),
    "out of balance": ("G7 ", "G8", "G10"),
    "failed by a deadline that an outage used up": ("G25 no deadline",),
}
# Failures by a deadline.
DEADLINES = {"upstream_unavailable", "upstream_gave_no_result", "copy_failed", "storage_unavailable"}


def promises(lab: Lab) -> list[Promise]:
    """Check all promises by the database, the bucket, the logs, and the upstream's own account."""
    from generations.models import Attempt, Event, Generation
    from tenants.models import LedgerEntry, Tenant, Window
    from tenants.money import reconcile

    rows = {row.pk: row for row in Generation.objects.select_related("tenant")}
    by_id = {str(pk): row for pk, row in rows.items()}
    acked, upstream = lab.book.acked(), lab.upstream
    entries: dict[Any, Counter[str]] = {}
    for pk, kind in LedgerEntry.objects.values_list("generation_id", "kind"):
        entries.setdefault(pk, Counter())[kind] += 1
    ends = {"succeeded": Counter(hold=1, capture=1)}
    attempts = Counter(Attempt.objects.values_list("generation__seed", flat=True))
    recorded = Counter(Attempt.objects.filter(outcome="created").values_list("generation__seed", flat=True))
    finished = [row for row in rows.values() if row.finished_at]
    succeeded = [row for row in finished if row.status == "succeeded"]
    refused = [row for row in finished if row.error_code == "upstream_unavailable" and _was_refused(lab, row)]
    tenants = list(Tenant.objects.all())
    objects, strays = _bucket(lab, {key for row in succeeded for key in (row.video_key, row.poster_key)})
    lab.strays = strays
    hits = Counter(line.split()[0] for line in lab.hits())
    searched, leaks = _leaks(lab)
    wrong, received = lab.book.wrong, lab.counts("received")
    return [
        Promise("G1 accepted is durable", len(acked), "answers", [c.id for c in acked if c.id not in by_id]),
        Promise(
            "G2 accepted ends, nothing is stuck",
            len(rows),
            "generations",
            [f"{row} is {row.status}" for row in rows.values() if not row.finished_at],
        ),
        Promise(
            "G3 an end is final, and every transition a legal one",
            Event.objects.count(),
            "transitions",
            _illegal(Event),
        ),
        Promise(
            "G3 final statuses that callers have read, and every other answer",
            sum(lab.book.answers.values()),
            "answers",
            [w for w in wrong if "wrong bytes" not in w],
        ),
        Promise(
            "G6 at most one paid task a generation, by the upstream's count",
            sum(received.values()),
            "POSTs received",
            [f"seed {seed}: {n}" for seed, n in lab.counts("created").items() if n > 1]
            + [f"seed {seed}: {n} attempts created" for seed, n in recorded.items() if n > 1],
        ),
        Promise(
            "G6 no POST without an attempt on record",
            sum(received.values()),
            "POSTs received",
            [f"seed {seed}" for seed, n in received.items() if n > attempts[seed]],
        ),
        *ark_promises.promises(lab, rows.values()),
        Promise(
            "G7 never more admitted than the limit",
            len([row for row in rows.values() if row.tenant.name == "limited"]),
            "admissions",
            [f"{lab.book.most_in_flight} in flight"] if lab.book.most_in_flight > LIMITED_TO else [],
        ),
        Promise(
            "G8, G9 one hold, and one end of it",
            len(finished),
            "generations",
            [
                f"{row}: {dict(entries.get(row.pk, {}))}"
                for row in finished
                if entries.get(row.pk) != ends.get(row.status, Counter(hold=1, release=1))
            ],
        ),
        Promise(
            "G10 the ledger balances",
            Window.objects.count(),
            "windows",
            [str(difference) for tenant in tenants for difference in reconcile.check(tenant.pk)]
            + [str(window) for window in Window.objects.filter(kind="in_flight").exclude(used=0)],
        ),
        Promise(
            "G11 one generation a key, however often it is asked for",
            len(lab.book.calls),
            "keys",
            [f"seed {seed}: {n}" for seed, n in Counter(row.seed for row in rows.values()).items() if n > 1],
        ),
        Promise(
            "G12, G14 served bytes are the seed's",
            lab.book.served + len(succeeded),
            "videos read",
            [w for w in wrong if "wrong bytes" in w]
            + [
                f"{row} in the bucket"
                for row in succeeded
                if not objects.get(row.video_key) == row.video_sha256 == sha256_of(row.seed)
            ],
        ),
        Promise(
            "G15 seed and image are as requested",
            len(succeeded),
            "generations",
            [f"{c.id}: {by_id[c.id].seed}" for c in acked if c.id in by_id and by_id[c.id].seed != c.seed]
            + [str(row) for row in succeeded if lab.seed_of(row.upstream_id or "") != row.seed]
            + ["an image that no caller sent"] * (upstream.wrong_images + lab.ark.wrong_images),
        ),
        Promise(
            "G22 each end is delivered, once or more, under one id",
            sum(upstream.webhooks.values()),
            "webhooks received",
            _undelivered(lab, [row for row in finished if row.webhook_url]),
        ),
        Promise("G18 no secret in any log or queue", searched, "bytes searched", leaks),
        Promise(
            "G25 an error on our side fails no generation",
            len(rows),
            "generations",
            [
                f"{row}: {row.error_code}"
                for row in finished
                if row.error_code and row.error_code not in REASONS and row not in refused
            ],
        ),
        Promise(
            "G25 no deadline counts an outage",
            len(_outlived(lab, rows.values())),
            "outages outlived",
            [f"{row}: {row.error_code}" for row in finished if row.error_code in DEADLINES and row not in refused],
        ),
        Promise("every failpoint was hit", sum(hits.values()), "hits", [name for name in NAMES if not hits[name]]),
    ]


def text(lab: Lab, promises: list[Promise]) -> str:
    """Return the report as text."""
    from generations.models import Generation, Worker

    states = Counter(Generation.objects.values_list("status", "error_code"))
    hits, acts = (Counter(line.split()[place] for line in lab.hits()) for place in (0, 1))
    unknown = len(lab.book.calls) - len(lab.book.acked())
    ark = lab.ark.tasks
    settled = f"{lab.settled_after:.0f} s" if lab.settled_after is not None else "never"
    lines = [
        f"The fault lab on {lab.database.name}: {lab.seconds:.0f} s of faults, settled {settled} after the last one",
        "",
        f"Operations: {len(lab.book.calls)} creates ({len(lab.book.acked())} accepted, {unknown} refused or unanswered)"
        f", {sum(lab.counts('received').values())} submits, "
        f"{lab.upstream.polls + ark.polls + lab.upstream.metered.polls} polls, "
        f"{lab.upstream.videos + lab.ark.videos} downloads"
        f", {lab.book.served} videos served and checked",
        "Generations: " + _counted({f"{s} {code}".strip(): n for (s, code), n in states.items()}),
        f"Ark: {sum(ark.received.values())} submits, {len(ark.by_id)} tasks, {ark.pages} pages of its list; at Novita "
        f"{len(lab.upstream.metered.by_id)} tasks on the same wire. Answers lost at Ark: {ark_promises.count_lost()}",
        "Callbacks: " + _counted(lab.ark.callbacks.answers + lab.upstream.callbacks.answers),
        "Answers: " + _counted(lab.book.answers),
        "Errors of the lab itself: " + _counted(lab.book.own_troubles),
        f"Objects in the bucket that belong to no success: {lab.strays}",
        "",
        "Faults injected",
        "  processes: " + _counted(lab.kills),
        "  upstream: " + _counted(lab.upstream.faults),
        "  Ark: " + _counted(lab.ark.faults),
        "  S3: " + _counted(lab.proxy.counts),
        f"  {lab.database.name}: " + _counted(lab.database.faults),
        f"  the broker, {lab.broker.name}: " + _counted(lab.broker.faults),
        "  credentials: " + _counted(lab.agent.faults),
        "  skipped: " + ("; ".join(filter(None, [*lab.skipped, lab.broker.skipped])) or "none"),
        "  clusters started again by their supervisor: " + str(sum(Worker.objects.values_list("restarts", flat=True))),
        "  by tests of their own: " + "; ".join(f"{fault}, {path}" for fault, path in OWN_TESTS.items()),
        "",
        f"Failpoints: {len([name for name in NAMES if hits[name]])} of {len(NAMES)} hit, {sum(hits.values())} times "
        f"({_counted(acts)}), the least {min(hits[name] for name in NAMES)} times",
        *[f"  {name:24} {hits[name]:>5}" for name in NAMES],
        "",
        "Promises (the bound is 3/n, with 95 % confidence)",
        *[promise.line() for promise in promises],
        "",
        "In sum: " + in_sum(promises),
        *[f"  VIOLATION {promise.name}: {violation}" for promise in promises for violation in promise.broken[:10]],
    ]
    return "\n".join(lines)


def in_sum(promises: Iterable[Promise]) -> str:
    """Return the violations that matter most, in a line."""
    counts = {
        what: sum(len(one.broken) for one in promises if one.name.startswith(names)) for what, names in SUM.items()
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _outlived(lab: Lab, rows: Iterable[Any]) -> list[Any]:
    """Return the generations that were in the queue for longer than SUBMIT_DEADLINE of an outage, once for each."""
    least = timedelta(seconds=SUBMIT_DEADLINE)
    return [
        row
        for row in rows
        for began, ended in lab.outages
        if row.submitted_at and min(row.submitted_at, ended) - max(row.created_at, began) > least
    ]


def _was_refused(lab: Lab, row: Any) -> bool:
    """Return whether the upstream has refused the generation for SUBMIT_DEADLINE, without the lab's outages."""
    from generations import deadlines

    ends = [attempt.finished_at for attempt in deadlines.find_refused(row)]
    first, last = min(ends), max(ends)
    away = [max(min(last, ended) - max(first, began), timedelta(0)) for began, ended in lab.outages]
    return last - first - sum(away, timedelta(0)) >= timedelta(seconds=SUBMIT_DEADLINE)


def _undelivered(lab: Lab, ends: list[Any]) -> list[str]:
    """Return ends whose one event has not reached the receiver by its id, and webhooks that belong to no end."""
    from generations.models import Delivery

    rows = {row.generation_id: row for row in Delivery.objects.all()}
    found = [f"{row}: no delivery was stored" for row in ends if row.pk not in rows]
    found += [f"{row.generation_id} is {row.status}" for row in rows.values() if row.status != "delivered"]
    ids = {row.message_id for row in rows.values()}
    found += [f"{pk} was not delivered" for pk in ids if not lab.upstream.webhooks[pk]]
    return found + [f"{pk} belongs to no end" for pk in lab.upstream.webhooks if pk not in ids]


def _illegal(event: Any) -> list[str]:
    """Return the illegal transitions. An event is a status reached or, if it repeats a status, an error in it."""
    found, last = [], {}
    for pk, status in event.objects.order_by("id").values_list("generation_id", "status"):
        before = last.get(pk)
        if (before is None and status != "queued") or (before and status not in NEXT[before] | _stays(before)):
            found.append(f"{pk}: {before} -> {status}")
        last[pk] = status
    return found


def _stays(status: str) -> set[str]:
    """Return the status if an event may repeat it: of an error, or of a search for a lost answer."""
    return {status} if status in ("queued", "in_doubt", "running", "copying") else set()


def _bucket(lab: Lab, known: set[str]) -> tuple[dict[str, str], int]:
    """Return the SHA-256 of every stored video, not read by the proxy, and the number of stray objects."""
    import boto3

    facts = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": lab.secrets["S3's secret"]}
    facts |= {"region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=lab.s3_url, **facts)
    found, strays = {}, 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lab", Prefix="videos/"):
        for one in page.get("Contents", []):
            strays += one["Key"] not in known
            if one["Key"].endswith(".mp4"):
                body = s3.get_object(Bucket="lab", Key=one["Key"])["Body"].read()
                found[one["Key"]] = hashlib.sha256(body).hexdigest()
    return found, strays


def _leaks(lab: Lab) -> tuple[int, list[str]]:
    """Search logs and queue for secrets. Return the bytes searched and the secrets found."""
    from django_q.models import Failure, OrmQ, Success

    secrets = {
        "the upstream's key": UPSTREAM_KEY,
        "Ark's key": ARK_KEY,
        "the upstream's signature": SECRET,
        "ours": "X-Amz-Signature=",
    }
    secrets |= {f"{name}'s key": key for name, key in lab.keys.items()}
    secrets |= lab.secrets
    texts = {file.name: file.read_text(errors="replace") for file in (lab.folder / "log").glob("*.log*")}
    texts["the queue"] = "".join(str(task.task) for task in OrmQ.objects.all())
    texts["failed tasks"] = "".join(str(task.result) for task in Failure.objects.all())
    texts["done tasks"] = "".join(str(task.result) for task in Success.objects.all())
    found = [f"{what} in {name}" for name, body in texts.items() for what, secret in secrets.items() if secret in body]
    return sum(map(len, texts.values())), found


def _counted(counts: Any) -> str:
    """Return the counts as text, the highest first."""
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: -item[1])) or "none"
