"""The sentences for callers where an upstream says by a code of its own why there is no video."""

from generations.upstream.outcomes import Cause

REFUSED = {
    Cause.INPUT_MODERATED: "The upstream's moderation refused the prompt or an image. Nothing was charged.",
}
FAILED = {
    **REFUSED,
    Cause.OUTPUT_MODERATED: "The upstream's moderation withheld the video that was made. Nothing was charged. "
    "It judges each video by itself: a rerun may pass.",
    Cause.EXPIRED: "The upstream did not make the video within its time limit. Nothing was charged.",
}
