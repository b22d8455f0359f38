"""Folders in memory, for servers whose files come and go by the thousand.

A disk's file system does not give out again at once what was just deleted, and looks through all of it for each new
file: of the time of making and dropping a database, most. Nothing that waits for the disk on purpose belongs here.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relais.embedded import stop_stack

__all__ = ["folder_in_memory"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - it is asked for memory, and names are made by mkdtemp
_ROOM: Final = 4 * 1024**3
_PREFIX: Final = "relais-tests-"
_YOUNG_SECONDS: Final = 60


@contextmanager
def folder_in_memory(otherwise: Path | None = None) -> Iterator[Path]:
    """A folder that servers of another user may enter; gone at the end.

    Where memory has too little room it is `otherwise`, which is kept, or one among temporary files.
    """
    roomy = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    if not roomy and otherwise is not None:
        yield otherwise
        return
    _clear_what_was_left()
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY if roomy else None))
    held = _hold(made)
    try:
        made.chmod(0o755)
        yield made
    finally:
        shutil.rmtree(made)
        os.close(held)


def _clear_what_was_left() -> None:
    """Folders of those who were killed, and the servers that run on in them."""
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        facts = left.stat()
        if facts.st_uid != os.geteuid() or time.time() - facts.st_mtime < _YOUNG_SECONDS:
            continue
        try:
            held = _hold(left)
        except BlockingIOError:
            continue
        stop_stack(left)
        shutil.rmtree(left)
        os.close(held)


def _hold(folder: Path) -> int:
    """The folder, held for as long as this process lives or the number is open. Raises `BlockingIOError`."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise
    return number
