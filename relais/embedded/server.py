"""What the two private servers have in common: one process, one port kept for life, start, stop and kill."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence

from relais.embedded.ports import free_port
from relais.embedded.problem import StackProblem
from relais.embedded.processes import Ending, Log, end, ending_in_words

_TRIES = 6


class Server(ABC):
    """A private server; `url` is valid from the first `start`."""

    name: str
    endings: Sequence[Ending]

    def __init__(self, log: Log) -> None:
        self.log = log
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, with the password."""

    @property
    def pid(self) -> int | None:
        """The server's process, None while it is stopped."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_file(self) -> str:
        """Where its last words are."""
        return str(self.log.path)

    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""
        status = self._process.poll() if self._process else None
        return None if status is None else ending_in_words(status)

    def start_again(self) -> None:
        """Start it on its port after it ended by itself; raises StackProblem."""
        self.start()

    @abstractmethod
    def prepare(self) -> None:
        """Clear away what an earlier owner left behind, make what the server needs."""

    def start(self) -> None:
        """Start and return once it answers, after the first time on the same port; raises StackProblem."""
        for _ in range(_TRIES):
            if self._runs():
                return
            port = self._port or free_port()
            said = self._start_on(port)
            if self._runs():
                self._port = port
                return
            if "Address already in use" not in said:
                break  # another port would not help
        raise self._problem(said)

    def _runs(self) -> bool:
        return self.pid is not None

    def stop(self) -> None:
        """Stop in order; what was acknowledged is kept as far as the server keeps anything."""
        if self._process:
            end(self._process, self.endings)

    def kill(self) -> None:
        """End it as a power cut would (for tests of recovery)."""
        if self._process:
            self._process.kill()
            self._process.wait()

    @abstractmethod
    def _start_on(self, port: int) -> str:
        """Try once; what the server said. `pid` tells whether it runs."""

    @abstractmethod
    def _problem(self, said: str) -> StackProblem:
        """Why it did not start and what to do."""
