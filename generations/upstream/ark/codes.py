"""The codes of Ark's errors, by what each is about. The maker documents them on the page "Error codes".

A code may have a part behind a dot, such as InvalidParameter.UnsupportedParameter. Most are decided by the part before.
"""

import re
from enum import Enum, auto


class Meaning(Enum):
    """The kinds of errors, by what has to be done about them."""

    CONTENT = auto()  # the caller's request, or our row of the model
    INPUT_MODERATED = auto()
    OUTPUT_MODERATED = auto()
    ACCOUNT = auto()  # our account: its key, its money, its limits
    LATER = auto()  # too many requests, or too many tasks, for now
    ROUTE_GONE = auto()  # the model is retired, closed or not activated
    UPSTREAM = auto()  # a failure of the upstream's own, which says nothing of the task
    UNDOCUMENTED = auto()


MODERATED = re.compile(r"\w*(SensitiveContentDetected|RiskDetection)")
RATE_LIMITED = re.compile(r"(?:\w*RateLimitExceeded|RequestBurstTooFast)")
NO_SUCH_THING = "NotFound"  # of a create: the model; of a task's id: the task

WHOLE = {  # codes whose part behind the dot changes the meaning
    "InvalidEndpoint.ClosedEndpoint": Meaning.ROUTE_GONE,
}
BEFORE_DOT = {
    "MissingParameter": Meaning.CONTENT,
    "InvalidParameter": Meaning.CONTENT,
    "InvalidImageURL": Meaning.CONTENT,
    "ContentSecurityDetectionError": Meaning.INPUT_MODERATED,
    "AuthenticationError": Meaning.ACCOUNT,
    "InvalidAccountStatus": Meaning.ACCOUNT,
    "AccessDenied": Meaning.ACCOUNT,
    "AccountOverdueError": Meaning.ACCOUNT,
    "OperationDenied": Meaning.ACCOUNT,
    "QuotaExceeded": Meaning.ACCOUNT,
    "SetLimitExceeded": Meaning.ACCOUNT,
    "ServerOverloaded": Meaning.LATER,
    "InflightBatchsizeExceeded": Meaning.LATER,
    "InvalidEndpointOrModel": Meaning.ROUTE_GONE,
    "ModelNotOpen": Meaning.ROUTE_GONE,
    "UnsupportedModel": Meaning.ROUTE_GONE,
    NO_SUCH_THING: Meaning.ROUTE_GONE,
    "InternalServiceError": Meaning.UPSTREAM,
}


def find_meaning(code: str) -> Meaning:
    """Return what the code is about."""
    head = code.partition(".")[0]
    if MODERATED.fullmatch(head):
        return Meaning.OUTPUT_MODERATED if head.startswith("Output") else Meaning.INPUT_MODERATED
    if RATE_LIMITED.fullmatch(head):
        return Meaning.LATER
    return WHOLE.get(code) or BEFORE_DOT.get(head, Meaning.UNDOCUMENTED)


def is_no_such_task(code: str) -> bool:
    """Return whether the code, of an answer with the status 404 about a task, says that there is no such task."""
    return NO_SUCH_THING in code.split(".")
