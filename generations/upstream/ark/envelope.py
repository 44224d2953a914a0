"""Read the envelope of Ark's errors: {"error": {"code": …, "message": …}}. An answer without one proves nothing."""

import re
from dataclasses import dataclass, replace

from generations.foreign_text import clean
from generations.upstream.answers import Answer
from generations.upstream.ark import codes
from generations.upstream.ark.codes import Meaning
from generations.upstream.json_bodies import Body

CODE_HEADER = "X-Error-Code"  # has the code too
# The id of a request, of its log or of its trace, with its name: after a sign any text, after a word one with a digit.
REQUEST_ID = re.compile(
    r"""[\s,;]*[(\[{]?\s*["'`]?\b(?:x-)?(?:request|req|log|trace)[\s_-]*id\b["'`]?\s*"""
    r"""(?:[:=#\uFF1A]\s*|(?:is\b|-)?\s*(?=["'`]?[\w.-]*[0-9]))["'`]?[\w.-]+["'`]?\s*[)\]}]?""",
    re.IGNORECASE,
)

# A task's id at the upstream, and an endpoint's, which stands for a model there: callers know neither.
OWN_ID = re.compile(r"""\s*["'`]?\b(?:cgt|ep)-(?=[a-z-]*[0-9])[0-9A-Za-z-]+["'`]?""")


@dataclass(frozen=True)
class ArkError:
    """An error as the upstream words it, without secrets."""

    code: str
    message: str  # with the request's id at its end

    @property
    def meaning(self) -> Meaning:
        """The kind of the error."""
        return codes.find_meaning(self.code)

    @property
    def words(self) -> str:
        """The code and the message, for operators."""
        return ": ".join(filter(None, (self.code, self.message)))

    def for_callers(self) -> "ArkError":
        """Return the error without the ids in its message, which name nothing that a caller knows."""
        return replace(self, message=without_ids(self.message))


def without_ids(message: str) -> str:
    """Return the message without the ids of requests, tasks and endpoints."""
    return OWN_ID.sub("", REQUEST_ID.sub("", message)).strip()


def read(answer: Answer, body: Body) -> ArkError | None:
    """Return the error in the envelope; None if the body, decoded from the answer, is no plain envelope.

    A header names the code where the envelope has none.
    """
    error = body.fields.get("error")
    if not isinstance(error, dict) or not error or body.repeated_names:
        return None
    code = error.get("code")
    if code in (None, ""):
        code = answer.headers.get(CODE_HEADER)
    return make(code, error.get("message"))


def make(code: object, message: object) -> ArkError | None:
    """Return the error with that code and message as they came; None if the code is no text."""
    if not isinstance(code, str) or not (cleaned := clean(code, 100)):
        return None
    return ArkError(cleaned, clean(message) if message else "")
