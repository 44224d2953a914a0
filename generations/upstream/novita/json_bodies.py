"""Decode the JSON of an answer, and notice names that stand twice in one object: a parser drops one of them unseen."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[str, Any]


@dataclass
class Body:
    """The JSON object of an answer."""

    fields: dict[str, Any] = field(default_factory=dict)  # empty if the body is anything else
    repeated_names: list[str] = field(default_factory=list)  # of any object in the body
    pairs: list[Pair] = field(default_factory=list)  # of every object in the body, the innermost objects first

    def collect(self, pairs: list[Pair]) -> dict[str, Any]:
        """Return the object with these pairs, and note the pairs."""
        self.pairs += pairs
        value = dict(pairs)
        if len(value) < len(pairs):
            self.repeated_names += [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        return value


def decode(content: bytes) -> Body:
    """Return the content's JSON object, in any encoding of Unicode. Its `fields` are empty for anything else."""
    body = Body()
    try:
        value = json.loads(content, object_pairs_hook=body.collect)
    except (ValueError, RecursionError):
        return Body()
    body.fields = value if isinstance(value, dict) else {}
    return body
