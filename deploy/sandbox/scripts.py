"""Words in a prompt that control the sandbox. docs/DEVELOPMENT.md lists them, and says which wire knows which."""

import re

USAGE = re.compile(r"\[usage ([0-9]{1,6})\]")
REFUSED_RATE = re.compile(r"\[429 ([A-Za-z.]{1,80})(?: ([a-z]{1,20}))?\]")  # an error code, and which of its messages
MAX_SECONDS = 10_000_000.0


def has(prompt: str, word: str) -> bool:
    """Return whether the prompt holds the word in brackets."""
    return f"[{word}]" in prompt


def usage_factor(prompt: str) -> int:
    """Return how many times the tokens of a video are reported."""
    scripted = USAGE.search(prompt)
    return int(scripted[1]) if scripted else 1


def seconds_of(prompt: str, word: str, default: float | None = None) -> float | None:
    """Return N of `[word N]` in seconds, `default` for `[word]`, or None if the prompt holds neither."""
    scripted = re.search(rf"\[{word}(?: ([0-9]{{1,7}}))?\]", prompt)
    if scripted is None or (scripted[1] is None and default is None):
        return None
    return min(float(scripted[1]), MAX_SECONDS) if scripted[1] else default
