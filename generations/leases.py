"""Every lease of the worker, every time limit below a lease, and the reason for each number.

A lease says for how long a claimed row belongs to its worker. After the lease any worker may claim the row again. So
each lease is longer than the work it covers; `tests/generations/test_leases.py` holds that order.
"""

from datetime import timedelta

# Worker runs. The queue ends a task after 600 s (`Q_CLUSTER["timeout"]`).
RUN_SECONDS = 50.0  # for one worker run; the schedule starts one each minute
SLOT_LEASE = timedelta(seconds=10)  # a run renews its slot every half second, and pauses for no longer than a query
WAKE_UP_LEASE = timedelta(seconds=5)  # for a wake-up on its way, before another is sent
PRUNE_SECONDS = 240.0  # for each hour's run of `prune`

# Claims.
CLAIM_LEASE = timedelta(seconds=90)  # longer than any step, except steps that take a longer lease themselves
IMAGE_CALL_SECONDS = 30.0  # for an image behind a URL, redirects included; the claim is renewed after each
MEMORY_WAIT_SECONDS = 20.0  # in which a submit with large images waits for memory

# Submits.
SUBMIT_LEASE = timedelta(seconds=180)  # longer than a submit and the record of its answer, 175 s in all
SUBMIT_START_SECONDS = 5.0  # from the record of an attempt to its first byte; a process that stood still sends none
SUBMIT_CALL_SECONDS = 120.0  # a long limit makes lost answers rare, and no caller waits for it
RECORD_ANSWER_SECONDS = 50.0  # in which an answer is recorded although the database is away
PROBE_LEASE = timedelta(seconds=180)  # longer than a submit may take; a prober that dies is forgotten after it

# Polls. A poll that waited for half of its lease for a thread is skipped.
POLL_LEASE = timedelta(seconds=30)  # longer than two polls; rows of a killed worker wait for it
POLL_CALL_SECONDS = 10.0

# Searches for lost answers.
SCAN_SECONDS = 240.0  # for a scan of the upstream's list of tasks, a second or more for each page; below the queue's
LIST_LEASE = timedelta(seconds=30)  # renewed before each page; longer than two calls

# Copies.
COPY_LEASE = timedelta(seconds=90)  # renewed while bytes flow
COPY_RENEWAL_SECONDS = 20.0  # between two renewals, a fraction of the lease
COPY_SECONDS = 270.0  # for a whole copy; with a run's 50 s, a poll and the poster it is below the queue's 600
DOWNLOAD_SECONDS = 240.0  # for its download; 20 MB at 85 kB/s

# Webhook deliveries.
DELIVERY_LEASE = timedelta(seconds=45)  # far longer than an attempt and the record of its outcome
DELIVERY_CALL_SECONDS = 15.0  # for one attempt, the look-up of its host included
