"""The API and the worker as child processes: started together, and stopped whatever happens.

Each child has a session of its own, so that Ctrl-C in the terminal reaches this process alone, which then stops
them in order. The kernel tells them to stop even where this process is killed without a chance to do so.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from relais.embedded import StackProblem
from relais.embedded.ports import LOOPBACK, is_free
from relais.embedded.processes import Ending, Log, end, ending_in_words, last_lines

__all__ = [
    "FIRST_PORT",
    "Child",
    "ProcessProblem",
    "Processes",
    "choose_port",
    "ended_by_signals",
    "running_processes",
]

FIRST_PORT: Final = 8000
"""Where the API answers when nothing else is asked for and nobody is there."""
_PORTS_TRIED = 100
_READY_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.1
_ENDINGS = (Ending(signal.SIGTERM, 15), Ending(signal.SIGKILL, 5))
_HOUSE = Path(__file__).parents[1]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessProblem(StackProblem):
    """The API or the worker cannot start or has ended; the message says what happened and what to do next."""


class Child:
    """A process of ours: what people call it, how it is started, and the file it writes to."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Log) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def log_file(self) -> str:
        """Where its last words are."""
        return str(self.log.path)

    @property
    def pid(self) -> int | None:
        """Its process, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it; it is ready a little later, and told to stop when the thread that started it ends."""
        self._said_before, output = self.log.size(), self.log.open_to_write()
        try:
            self._process = subprocess.Popen(
                [*_dying_with_us(), sys.executable, *self._arguments],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(output)

    def start_again(self) -> None:
        """Start it after it ended by itself."""
        self.start()

    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""
        status = self._process.poll() if self._process else None
        return None if status is None else ending_in_words(status)

    def check(self) -> None:
        """Raise `ProcessProblem` when it has ended."""
        how = self.ending()
        if how is not None:
            said = last_lines(self.log.since(self._said_before))
            raise ProcessProblem(
                f"{self.name} has ended by itself ({how}). What was acknowledged is safe in "
                f"the database. Its last words, from {self.log.path}:\n{said}\n"
                "What to do: start again; if it ends again, the whole of that file says why."
            )

    def end(self) -> None:
        """Stop it: asked first, then made to."""
        if self._process:
            end(self._process, _ENDINGS)


@dataclass(frozen=True)
class Processes:
    """The running API and worker, and the address of the API."""

    url: str
    children: tuple[Child, ...]

    def check(self) -> None:
        """Raise `ProcessProblem` when one has ended."""
        for child in self.children:
            child.check()


def choose_port(asked: int | None) -> int:
    """The port that was asked for, or the first free one from `FIRST_PORT` on. Raises `ProcessProblem`."""
    if asked is not None:
        if not is_free(asked):
            raise ProcessProblem(
                f"Port {asked} is taken by another program. Nothing was started. What to do: end that program, or "
                f"set RELAIS_PORT to another number, or leave it unset and a free port is chosen."
            )
        return asked
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED):
        if is_free(port):
            return port
    raise ProcessProblem(
        f"No port between {FIRST_PORT} and {FIRST_PORT + _PORTS_TRIED - 1} is free. Nothing was started. What to do: "
        "set RELAIS_PORT to a free one."
    )


@contextmanager
def running_processes(port: int, settings: Mapping[str, str], logs: Path) -> Iterator[Processes]:
    """The API on `port` and the worker, ready to serve, for as long as the block runs.

    `settings` are their `RELAIS_*` variables; `logs` the folder for their output. Raises `ProcessProblem`.
    """
    environment = {**os.environ, **settings, "PYTHONPATH": str(_HOUSE), "PYTHONUNBUFFERED": "1"}
    api = ["-m", "api", "--host", LOOPBACK, "--port", str(port)]
    with ExitStack() as undo:
        children: list[Child] = []
        for name, arguments, file in (("The API", api, "api.log"), ("The worker", ["-m", "worker"], "worker.log")):
            child = Child(name, arguments, _of_its_own(environment, len(children)), Log(logs / file))
            undo.callback(_undisturbed, child.end)
            child.start()
            children.append(child)
        processes = Processes(f"http://{LOOPBACK}:{port}", tuple(children))
        _wait_until_ready(processes)
        yield processes


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that what was started is stopped on the way out.

    Ctrl-C works too where a script that started this in the background had it ignored; a SIGHUP that is ignored,
    as `nohup` has it, stays so.
    """

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, leave),
    }
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_its_own(environment: Mapping[str, str], number: int) -> Mapping[str, str]:
    """Two processes of one machine cannot show their figures on the same port: the worker's is one further."""
    port = environment.get("RELAIS_METRICS_PORT", "")
    return {**environment, "RELAIS_METRICS_PORT": str(int(port) + number)} if port.isdigit() else environment


def _dying_with_us() -> list[str]:
    """A prefix under which a child is told to stop when this process is killed; empty where there is none."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _wait_until_ready(processes: Processes) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    # The environment's proxies are for the world outside, not for a process of our own.
    with httpx.Client(trust_env=False, timeout=2.0) as http:
        while time.monotonic() < deadline:
            processes.check()
            try:
                if http.get(f"{processes.url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_LOOK_AGAIN_SECONDS)
    raise ProcessProblem(
        f"The API did not become ready within {_READY_SECONDS:.0f} seconds. Your data is safe. What to do: read "
        f"{processes.children[0].log.path}, then start again."
    )


def _undisturbed(stop: Callable[[], None]) -> None:
    """Stop without being cut short by an impatient second Ctrl-C; each step of stopping has its limit."""
    if threading.current_thread() is not threading.main_thread():
        stop()
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
