"""Libraries that greet on the standard output, which belongs to what a command answers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silent_libraries"]


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Nothing that a library writes there during the block is seen."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
