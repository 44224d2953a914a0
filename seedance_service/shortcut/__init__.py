"""What most calls are, creates and looks at one generation, answered before Django and REST framework, which take as
long as all else that is done for them.

Only where nothing is to be decided: the key is known, and no header asks for anything. All else, and every error, goes
the whole way, which gives the same answer to what is answered here.
"""

from typing import Any

from django.conf import settings

from seedance_service.shortcut import creates, looks
from seedance_service.shortcut.plain import Answer, is_plain

WAYS = {"GET": looks.answer, "POST": creates.answer}


def answer(environ: dict[str, Any]) -> Answer | None:
    """None: it goes the whole way."""
    way = WAYS.get(environ["REQUEST_METHOD"])
    # Traces tell the route that was taken.
    return way(environ) if way and not settings.TRACES and is_plain(environ) else None
