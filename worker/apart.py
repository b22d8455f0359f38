"""How a process that thinks for the worker begins."""

import os
import signal
from multiprocessing import parent_process
from threading import Thread

__all__ = ["begin_apart"]


def begin_apart() -> None:
    """Leave others the processor, end with the worker alone, and keep libraries from greeting in its log."""
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
