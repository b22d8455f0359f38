"""The API and the worker as processes of their own, begun in moments.

They are forked from a process that has loaded what both need, and run as `python -m` runs them: what is left out is the
start of Python and seconds of loading for each. What starts a whole house begins programs instead, as anybody does:
`tests/relais`, `tests/faults`, `tests/protection`, `tests/api/served.py`.
"""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final, Protocol

from tests.conftest import ROOT

__all__ = ["Forked", "Running", "fork"]

_CONTEXT: Final = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["api.serving", "uvloop", "worker.process"])


class Running(Protocol):
    """A process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Its status; nothing while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Its status, when it has ended."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Tell it to stop."""

    def kill(self) -> None:
        """End it."""


class Forked:
    """A process that runs a module of ours."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its status, negative for a signal; nothing while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its status, when it has ended. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return status

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Tell it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self.send_signal(signal.SIGKILL)


def fork(module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Forked:
    """Run `python -m module arguments` with this environment and no other; what it says is in the log."""
    process = _CONTEXT.Process(target=_run, args=(module, arguments, dict(environment), str(log)), name=module)
    process.start()
    return Forked(process)


def _run(module: str, arguments: tuple[str, ...], environment: dict[str, str], log: str) -> None:
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(written)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
