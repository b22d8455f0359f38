"""A private Redis on this machine's own address: the doorbell.

It keeps nothing; PostgreSQL holds the truth.
"""

import secrets
from pathlib import Path
from signal import SIGKILL, SIGTERM

from relais.embedded.ports import LOOPBACK
from relais.embedded.problem import StackProblem
from relais.embedded.processes import Ending, Log, end_left_over, last_lines, spawn, wait_until
from relais.embedded.programs import RedisProgram
from relais.embedded.server import Server
from relais.embedded.users import ServerUser

_READY = "Ready to accept connections"
_READY_SECONDS = 20


class Redis(Server):
    """One private Redis; it is empty after each start."""

    name = "Redis"
    endings = (Ending(SIGTERM, 10), Ending(SIGKILL, 5))

    def __init__(self, program: RedisProgram, folder: Path, log: Log, user: ServerUser | None) -> None:
        """`folder`: the server user's own (0700)."""
        super().__init__(log)
        self._program = program
        self._folder = folder
        self._user = user
        self._password = secrets.token_hex(24)

    @property
    def url(self) -> str:
        """Where clients find it, with the password."""
        return self._url(self._port)

    def prepare(self) -> None:
        """Clear away what an earlier owner left behind."""
        end_left_over(mark_of_redis(self._folder), self.endings)

    def _start_on(self, port: int) -> str:
        """Try `port`; what the server said."""
        offset = self.log.size()
        self._process = spawn(
            # Redis shows its first argument as its title: this is how a left-over is found again.
            [str(self._folder / "redis-server"), "-"],
            program=self._program.server,
            environment=self._program.environment,
            user=self._user,
            folder=self._folder,
            log=self.log,
            told=self._configuration(port).encode(),  # not as arguments: everybody can read those
        )
        # Its own word, not an answer on the port: that might be a stranger's, who would be told the password.
        wait_until(lambda: self.pid is None or _READY in self.log.since(offset), _READY_SECONDS)
        if _READY not in self.log.since(offset):
            self.stop()
        return self.log.since(offset)

    def _problem(self, said: str) -> StackProblem:
        return StackProblem(
            f"Redis did not start. Nothing is lost: it keeps nothing. It said:\n{last_lines(said)}\n"
            f"What to do: see {self.log.path}, then start again."
        )

    def _configuration(self, port: int) -> str:
        return (
            f"bind {LOOPBACK}\nport {port}\nrequirepass {self._password}\nprotected-mode yes\n"
            f'dir "{self._folder}"\nsave ""\nappendonly no\nmaxmemory 64mb\nmaxmemory-policy noeviction\n'
            "daemonize no\nloglevel notice\n"
        )

    def _url(self, port: int | None) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{port}/0"


def mark_of_redis(folder: Path) -> bytes:
    """What the command line of a server that lives in `folder` contains."""
    return bytes(folder / "redis-server")
