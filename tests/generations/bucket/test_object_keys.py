"""Keys of objects: what is built is recognised, and nothing else is."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from generations.bucket import object_keys
from generations.models import Generation

ID = UUID("01a2128a-8ce7-7555-91ad-a6e727180044")
GENERATION = Generation(id=ID, tenant_id=7, created_at=datetime(2026, 3, 1, tzinfo=UTC), fencing_token=12)
SHA256 = "ab" * 32


def test_the_keys_of_a_copy_name_its_generation_and_its_fencing_token() -> None:
    video, poster = object_keys.video_key(GENERATION), object_keys.poster_key(GENERATION)
    assert (video, poster) == (f"videos/7/2026/03/{ID}-12.mp4", f"videos/7/2026/03/{ID}-12.jpg")
    assert [object_keys.generation_id(key) for key in (video, poster)] == [ID, ID]
    assert [object_keys.fencing_token(key) for key in (video, poster)] == [12, 12]


def test_an_input_that_is_stored_again_gets_a_key_never_used_before() -> None:
    first, later = object_keys.input_key(7, SHA256), {object_keys.new_input_key(7, SHA256) for _ in range(2)}
    assert first == f"inputs/7/{SHA256}"
    assert len(later) == 2
    assert all(object_keys.is_input(key) for key in (first, *later))


@pytest.mark.parametrize(
    "key",
    ["videos/readme.txt", f"videos/7/2026/03/{ID}.mp4", f"backups/videos/7/2026/03/{ID}-1.mp4", "inputs/7/ab", ""],
)
def test_an_object_of_somebody_else_is_not_recognised(key: str) -> None:
    assert (object_keys.generation_id(key), object_keys.fencing_token(key)) == (None, None)
    assert not object_keys.is_input(key)
