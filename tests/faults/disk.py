"""A small disk for PostgreSQL that a test can fill: a file system in memory, in a process's own view of the machine.

Needs no right but to have a user namespace of one's own, which some machines give to nobody. Others see what is on it
through that process's entry in `/proc`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.users import server_user
from tests.conftest import ROOT

__all__ = ["NoDisk", "SmallDisk", "a_small_disk"]

# PostgreSQL does not run as what it takes for root: so its user is mapped to itself. Whoever changes its user hides its
# entry in `/proc`, until it says that it may be looked at.
_HOLDER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
size, user, group = map(int, sys.argv[1:])

def must(status):
    if status:
        sys.exit(os.strerror(ctypes.get_errno()))

if os.geteuid() != user:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    must(libc.prctl(4, 1))
must(libc.unshare(0x10000000 | 0x00020000))
for file, said in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
    with open(f"/proc/self/{file}", "w") as written:
        written.write(said)
must(libc.mount(b"none", b"/", None, 1 << 18 | 16384, None))
must(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, f"size={size}m,mode=0700".encode()))
os.mkdir("/tmp/cluster", 0o700)
print("there", flush=True)
for said in sys.stdin:
    if said == "clear\\n":
        os.unlink("/tmp/ballast")
    else:
        ballast = os.open("/tmp/ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for piece in (1 << 20, 1 << 12, 1):
            try:
                while os.write(ballast, bytes(piece)):
                    pass
            except OSError:
                pass
        os.close(ballast)
    print("done", flush=True)
"""


class NoDisk(Exception):  # noqa: N818 - a fact about the machine, not a fault of ours
    """The machine gives nobody a file system of their own; the message says why."""


@dataclass(frozen=True)
class SmallDisk:
    """A disk of some megabytes; `folder` is one on it, of the user of the servers."""

    folder: Path
    _holder: subprocess.Popen[str]

    def fill(self) -> None:
        """Leave not a byte."""
        self._tell("fill")

    def clear(self) -> None:
        """Give back what `fill` took."""
        self._tell("clear")

    def _tell(self, word: str) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(f"{word}\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == "done\n"


@contextmanager
def a_small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """One for as long as the block runs; what is on it is gone after. Raises `NoDisk`."""
    user = server_user(ROOT / ".relais")
    ids = (user.uid, user.gid) if user else (os.geteuid(), os.getegid())
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, *map(str, (megabytes, *ids))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if not holder.stdout.readline():
            raise NoDisk(holder.stderr.read().strip().rpartition("\n")[2])
        yield SmallDisk(Path(f"/proc/{holder.pid}/root/tmp/cluster"), holder)
    finally:
        holder.kill()
        holder.wait()
