"""The names of the models' submits in the OpenAPI document."""

import re

from generations.catalog import video_models
from generations.catalog.video_models import VideoModel


def operation_id(model: VideoModel) -> str:
    """Return the id of the model's operation: novita_kling_v3_0_std_i2v."""
    return f"novita_{re.sub(r'[^a-z0-9]', '_', model.id)}"


def body_name(model: VideoModel) -> str:
    """Return the name of the schema of the model's body. The first model's has no model in its name."""
    own = "" if model.id == video_models.DEFAULT_ID else re.sub(r"[^a-z0-9]", "", model.id.title(), flags=re.IGNORECASE)
    return f"Novita{own}Create"


def is_documented(model: VideoModel) -> bool:
    """Return whether the model's operation is in the OpenAPI document, as its file says: whatever the day, and
    whatever operators have set, clients are generated from the same document.
    """
    return model.row.state != "retired"
