"""The `relais` command's first moments: Ctrl-C ends it in a line, even while what it needs is still being loaded.

Nothing heavy is imported here before that is so.
"""

import gc
import os
import signal
from types import FrameType
from typing import NoReturn

__all__ = ["main"]

_STOPPED = b"\nStopped.\n"
_STATUS = 128 + signal.SIGINT


def main() -> None:
    """Load the commands and run the one that was asked for."""
    # Libraries that are half imported catch what is raised in them, and nothing was started yet: leave at once.
    signal.signal(signal.SIGINT, _leave_at_once)
    # What is loaded stays: to look through it for garbage meanwhile would only take time.
    gc.disable()
    from relais.command import main as command  # noqa: PLC0415 - takes a second, in which Ctrl-C is to work

    gc.enable()
    # From here on there may be something to stop on the way out.
    signal.signal(signal.SIGINT, _leave)
    command()


def _leave_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, _STOPPED)
    os._exit(_STATUS)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, _STOPPED)
    raise SystemExit(_STATUS)


if __name__ == "__main__":
    main()
