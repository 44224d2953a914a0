"""A file on its way to the bucket."""

import os
from collections.abc import Callable
from typing import IO

BLOCK_BYTES = 256 * 1024  # each block costs a call and a turn of the interpreter's lock


class Upload:
    """A file as boto3 reads it: from its start, and from its start again for a second attempt.

    `check` is called before each block, and ends the upload by what it raises.
    """

    def __init__(self, file: IO[bytes], check: Callable[[], object]) -> None:
        self._file, self._check = file, check
        self.failure: Exception | None = None  # what `check` raised, which boto3 wraps

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, and at least BLOCK_BYTES; fewer only at the end."""
        try:
            self._check()
        except Exception as error:
            self.failure = error
            raise
        return self._file.read(max(size, BLOCK_BYTES) if size >= 0 else -1)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another place of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the present place in the file."""
        return self._file.tell()
