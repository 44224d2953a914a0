"""State for each error code that only a failed generation has what a caller should do."""

from generations.upstream import causes
from generations.upstream.outcomes import Cause
from seedance_service.docs.advice import Advice

CREATE = "Send a new create to try again. The hold of the failed generation was released."

FAILURES: dict[str, Advice] = {
    "upstream_failed": Advice(
        "Read the message, which comes from the upstream. Change the prompt or the image, or try another seed. "
        + CREATE,
        means="The upstream accepted the task and could not make the video.",
        message="The upstream could not make the video: the task failed.",
    ),
    "upstream_refused": Advice(
        "Read the message: where the prompt or the image is the cause, it has the upstream's reason. " + CREATE,
        means="The upstream refused the task, or could not create it at four tries. Nothing was charged.",
        message="The upstream refused it: ILLEGAL_PROMPT. The prompt is not allowed.",
    ),
    str(Cause.INPUT_MODERATED): Advice(
        "Change the prompt or the image: the same request is refused again. " + CREATE,
        means="The moderation of the upstream refused the prompt or an image, at the submit or later. Nothing was "
        "charged.",
        message=causes.FAILED[Cause.INPUT_MODERATED],
    ),
    str(Cause.OUTPUT_MODERATED): Advice(
        "A rerun may pass, as each video is judged by itself, and is held and paid for as a new generation. The "
        "service reruns nothing by itself. If it fails again, change the prompt or the image.",
        means="The upstream made the video, and its moderation withheld it. Nothing was charged.",
        message=causes.FAILED[Cause.OUTPUT_MODERATED],
    ),
    str(Cause.EXPIRED): Advice(
        CREATE + " If it happens often, ask your operators: the upstream may be short of capacity.",
        means="The upstream accepted the task and did not make the video within its own time limit. Nothing was "
        "charged.",
        message=causes.FAILED[Cause.EXPIRED],
    ),
    "upstream_unavailable": Advice(
        CREATE + " Wait until the upstream is back.",
        means="The upstream could not be reached, or accepted nothing, until the submit deadline.",
        message="The upstream could not be reached, or accepted nothing, for too long.",
    ),
    "upstream_gave_no_result": Advice(
        CREATE,
        means="The upstream accepted the task and had no result within a day.",
        message="The upstream gave no result within a day.",
    ),
    "submit_unconfirmed": Advice(
        CREATE + " The first video may exist at the upstream; it is never delivered.",
        means="The answer to the submit was lost, and it stayed unknown whether the upstream accepted it. The task was "
        "not sent again, because that might have been paid for twice.",
        message="It is not known whether the upstream accepted the generation.",
    ),
    "not_submitted": Advice(
        CREATE,
        means="The answer to the submit was lost, and operators found that the upstream never accepted the task.",
        message="The upstream never accepted the generation, and nothing was paid. You can create it again.",
    ),
    "ended_by_operators": Advice(
        CREATE + " Ask your operators for the reason.",
        means="The service's operators ended the generation. It was not charged.",
        message="The service's operators ended the generation. It was not charged. You can create it again.",
    ),
    "video_mismatch": Advice(
        CREATE + " Another seed or prompt may fare better; your operators can look at the file for a week.",
        means="The upstream made a video that is far from what was requested: another duration, or fewer pixels. It is "
        "not delivered, and was not charged.",
        message="The upstream made another video than was requested: duration 5.042 instead of 10. "
        "It is not delivered.",
    ),
    "video_unreadable": Advice(
        CREATE + " The log has the reason for your operators.",
        means="The upstream said that the video is made, and served five files in turn that are no whole video.",
        message="The upstream served no video that can be played: the MP4 has no video track.",
    ),
    "copy_failed": Advice(
        CREATE + " The log has the reason for your operators.",
        means="The upstream made the video, but within a day no complete, verified copy reached the bucket.",
        message="The video could not be stored within a day.",
    ),
}
