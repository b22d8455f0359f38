"""A Redis that another one follows, watched by three sentinels: all of them real, from the same program."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from signal import SIGKILL
from typing import Final
from uuid import uuid4

from relais.embedded.choosing import Programs
from relais.embedded.ports import LOOPBACK, free_port
from relais.embedded.processes import Ending, Log, end, spawn, wait_until
from relais.embedded.programs import RedisProgram
from relais.embedded.users import ServerUser, folder_for, reachable, server_user
from tests.conftest import ROOT

__all__ = ["WatchedRedis", "a_watched_redis"]

_NAME: Final = "doorbell"
_SERVER: Final = """
bind {loopback}
port {port}
requirepass {password}
masterauth {password}
save ""
appendonly no
repl-diskless-sync-delay 0
"""
_SENTINEL: Final = """
bind {loopback}
port {port}
requirepass {sentinel_password}
sentinel sentinel-pass {sentinel_password}
sentinel monitor {name} {loopback} {leader} 2
sentinel auth-pass {name} {password}
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 3000
"""


@dataclass(frozen=True)
class WatchedRedis:
    """Where the servers are found: by way of the sentinels, and the first leader alone."""

    url: str
    first_url: str
    _leader: subprocess.Popen[bytes]

    def kill_the_leader(self) -> None:
        """End it as a power cut would."""
        self._leader.kill()
        self._leader.wait()


@contextmanager
def a_watched_redis() -> Iterator[WatchedRedis]:
    """For as long as the block runs; a leader that is gone for half a second is replaced."""
    root = ROOT / ".relais" / f"sentinels-{uuid4().hex[:8]}"
    user = server_user(root.parent)
    place = folder_for(reachable(root, user), user)
    program = Programs.of_stack(ROOT / ".relais" / "test", user, print).redis()
    servers, sentinels = [free_port(), free_port()], [free_port() for _ in range(3)]
    told = {
        "loopback": LOOPBACK,
        "name": _NAME,
        "leader": servers[0],
        "password": secrets.token_hex(8),
        "sentinel_password": secrets.token_hex(8),
    }
    with ExitStack() as undo:
        undo.callback(rmtree, place, ignore_errors=True)
        run = _Runner(program, place, user, undo)
        leader, leaders_log = run.start(_SERVER.format(port=servers[0], **told))
        assert wait_until(lambda: "Ready to accept" in leaders_log.since(0), 20), leaders_log.since(0)
        follows = f"replicaof {LOOPBACK} {servers[0]}\n"
        _, follower = run.start(_SERVER.format(port=servers[1], **told) + follows)
        assert wait_until(lambda: "Finished with success" in follower.since(0), 30), follower.since(0)
        logs = [run.start(_SENTINEL.format(port=port, **told), "--sentinel")[1] for port in sentinels]
        # Else nobody is promoted.
        assert wait_until(lambda: all(map(_knows_all, logs)), 30), [log.since(0) for log in logs]
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in sentinels)
        yield WatchedRedis(
            f"redis+sentinel://:{told['password']}@{hosts}/{_NAME}/0?sentinel_password={told['sentinel_password']}",
            f"redis://:{told['password']}@{LOOPBACK}:{servers[0]}/0",
            leader,
        )


def _knows_all(sentinel: Log) -> bool:
    """Of the follower and of both others."""
    said = sentinel.since(0)
    return "+slave slave" in said and said.count("+sentinel sentinel") == 2


@dataclass
class _Runner:
    """Starts servers of one program, which end with the block."""

    program: RedisProgram
    place: Path
    user: ServerUser | None
    undo: ExitStack
    started: int = 0

    def start(self, configuration: str, *more: str) -> tuple[subprocess.Popen[bytes], Log]:
        """A server with this configuration, and its log. A sentinel writes into its file: it must be the user's."""
        self.started += 1
        folder = folder_for(self.place / str(self.started), self.user)
        log = Log(folder / "log")
        shell = ["sh", "-c", 'cat > configuration && exec "$0" configuration "$@"', str(self.program.server), *more]
        process = spawn(
            shell, program=Path("/bin/sh"), environment=self.program.environment, user=self.user, folder=folder,
            log=log, told=configuration.encode(),
        )  # fmt: skip
        self.undo.callback(end, process, (Ending(SIGKILL, 5),))
        return process, log
