"""The links of an answer: the operations that take the answer's id as a parameter."""

from typing import Any

from generations.api import novita_names
from generations.catalog import video_models

Part = dict[str, Any]  # of the document

GENERATION = ("get", "delete", "cancel", "rerun", "events", "video", "poster")
ENDPOINT = ("get", "change", "delete", "rotate_secret", "test")
DELIVERY = ("get", "redeliver")
# By operation: the pointer to the id in its answers, the parameter's name, and the operations that have the parameter.
FROM: dict[str, tuple[str, str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("generations_create", "generations_rerun"),
        ("/id", "generation_id", tuple(f"generations_{name}" for name in GENERATION)),
    ),
    "webhook_endpoints_create": ("/id", "endpoint_id", tuple(f"webhook_endpoints_{name}" for name in ENDPOINT)),
    "webhook_endpoints_test": ("/id", "delivery_id", tuple(f"webhook_deliveries_{name}" for name in DELIVERY)),
}
SUBMIT = ("/task_id", "task_id", ("novita_task_result",))


def add(operation: Part) -> None:
    """Add links to each successful answer of the operation; all of them hold the id."""
    submits = {novita_names.operation_id(model): SUBMIT for model in video_models.by_route().values()}
    found = (FROM | submits).get(operation["operationId"])
    if found:
        pointer, name, targets = found
        links = {
            target: {"operationId": target, "parameters": {name: f"$response.body#{pointer}"}} for target in targets
        }
        for answer in operation["responses"].values():
            answer["links"] = links
