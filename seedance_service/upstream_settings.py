"""Read the settings of the upstreams, as operator_settings.py reads most others."""

from django.core.exceptions import ImproperlyConfigured

from seedance_service import env

_WEEK = 7 * 86_400  # seconds

NOVITA_BASE_URL = env.http_url("NOVITA_BASE_URL", "https://api.novita.ai", help="Address of the upstream.")
NOVITA_API_KEY = env.text("NOVITA_API_KEY", help="Key of the upstream. `make run` without a key starts the sandbox.")
UPSTREAM_RPM = env.integer(
    "UPSTREAM_RPM", 0, maximum=1_000_000, help="Submits per minute over all hosts. More stay queued. 0: no limit."
)
UPSTREAM_CONCURRENCY = env.integer(
    "UPSTREAM_CONCURRENCY", 0, maximum=1_000_000, help="Unfinished upstream tasks at once, over all hosts. 0: no limit."
)
NOVITA_BILLS = env.flag(
    "NOVITA_BILLS",
    True,
    help="Read the balance of the Novita account and its hourly bills, in at most one call a minute, and compare the "
    "bills with the ledger.",
)
NOVITA_KEY_ID = env.text(
    "NOVITA_KEY_ID",
    help="The id of this service's key at Novita, as `ownerID` in its bills has it. Without it the bills of all keys "
    "of the account are compared with the ledger.",
)
ARK_BASE_URL = env.http_url(
    "ARK_BASE_URL",
    "https://ark.ap-southeast.bytepluses.com/api/v3",
    help="Address of the second upstream, the model maker's own API, with the version at its end.",
)
ARK_API_KEY = env.text(
    "ARK_API_KEY",
    help="Key of the model maker's API. Without a key nothing is submitted there, which is no mistake.",
)
ARK_RPM = env.integer("ARK_RPM", 0, maximum=1_000_000, help="As `UPSTREAM_RPM`, for submits to the model maker's API.")
ARK_CONCURRENCY = env.integer(
    "ARK_CONCURRENCY",
    0,
    maximum=1_000_000,
    help="As `UPSTREAM_CONCURRENCY`, for tasks at the model maker.",
)
SAFETY_IDENTIFIER = env.flag(
    "SAFETY_IDENTIFIER",
    True,
    help="Send a random id of each attempt as `safety_identifier`, the model maker's field for an id of an end user. "
    "It says nothing of a tenant. A task whose answer was lost is found by it; without it, by its seed and shape.",
)
LOST_ANSWER_WAIT = env.integer(
    "LOST_ANSWER_WAIT",
    300,
    maximum=_WEEK,
    help="Where the upstream lists its tasks: seconds after the end of a submit whose answer was lost, before a search "
    "of the whole list may show that no task was created. The generation is then sent again, or fails.",
)
UPSTREAM_CALLBACK_URL = env.http_url(
    "UPSTREAM_CALLBACK_URL",
    help="Public https address of this service, such as `https://seedance.example.com`. With it, the model maker's API "
    "is asked to post the state of each task there, which is then read sooner. Without an address it is not asked.",
)
SUBMIT_DEADLINE = env.integer(
    "SUBMIT_DEADLINE",
    3600,
    minimum=1,
    maximum=_WEEK,
    help="Seconds that a generation waits for an upstream that does not accept it. Then the generation fails with "
    "`upstream_unavailable` and its hold is released. A tenant may have a value of its own.",
)
SANDBOX_BASE_URL = env.http_url(
    "SANDBOX_BASE_URL",
    help="Upstream for generations of test keys. Without an address there are no test keys. "
    "`python -m deploy.sandbox --host … --url …` starts one.",
)
SANDBOX_API_KEY = env.text("SANDBOX_API_KEY", "sandbox", help="Key of the sandbox.")

_keys = {"NOVITA_API_KEY": NOVITA_API_KEY, "ARK_API_KEY": ARK_API_KEY, "SANDBOX_API_KEY": SANDBOX_API_KEY}
for name, key in _keys.items():
    if not key.isascii() or not key.isprintable():
        raise ImproperlyConfigured(f"{name} holds characters that an HTTP header cannot hold.")
