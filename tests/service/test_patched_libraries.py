"""A test patches `time` or `subprocess` in the module under test, never in the whole process."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FOR_ALL_THREADS = re.compile(
    r'setattr\(\s*(?:\w+\.)*(?:time|subprocess|threading|random),\s*"|setattr\(\s*"(?:time|subprocess)\.'
)


def test_no_test_patches_a_library_for_other_threads() -> None:
    others = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts and path != Path(__file__)]
    found = {str(path.relative_to(TESTS)) for path in others if FOR_ALL_THREADS.search(path.read_text())}
    assert found == set(), "use tests.support.patching.patch_library"


@pytest.mark.parametrize(
    "text", ['setattr(submit.time, "sleep", stop)', 'setattr(time, "sleep", stop)', 'setattr("time.sleep", stop)']
)
def test_each_writing_of_such_a_patch_is_found(text: str) -> None:
    assert FOR_ALL_THREADS.search(text)
