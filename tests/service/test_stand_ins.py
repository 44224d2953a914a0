"""A stand-in for a function of `time` or `subprocess` is the one module's that is tested, never the whole process's."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FOR_ALL_THREADS = re.compile(
    r'setattr\(\s*(?:\w+\.)*(?:time|subprocess|threading|random),\s*"|setattr\(\s*"(?:time|subprocess)\.'
)


def test_no_test_replaces_a_function_of_the_library_for_other_threads() -> None:
    others = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts and path != Path(__file__)]
    found = {str(path.relative_to(TESTS)) for path in others if FOR_ALL_THREADS.search(path.read_text())}
    assert found == set(), "use tests.support.clock.replace_in"


@pytest.mark.parametrize(
    "text", ['setattr(submit.time, "sleep", stop)', 'setattr(time, "sleep", stop)', 'setattr("time.sleep", stop)']
)
def test_each_writing_of_it_is_found(text: str) -> None:
    assert FOR_ALL_THREADS.search(text)
