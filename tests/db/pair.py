"""Two servers of which one follows the other: killed, promoted and rebuilt as whoever keeps watch over a pair would."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from relais.embedded.choosing import Programs
from relais.embedded.ports import LOOPBACK
from relais.embedded.postgres import Postgres
from relais.embedded.processes import Log
from relais.embedded.users import ServerUser, folder_for, reachable, server_user
from tests.conftest import ROOT
from tests.waiting import eventually

__all__ = ["Member", "Pair", "a_pair", "together"]

# Processes are killed here, never the machine: what was written is not waited for.
_OPTIONS = ("-c", "wal_keep_size=64MB", "-c", "fsync=off")
_READY = ("ready", "standby")


class Member(Postgres):
    """One server of the pair. A standby stands when it can be read."""

    def __init__(self, name: str, programs: Programs, root: Path, user: ServerUser | None) -> None:
        self.folder = folder_for(reachable(root / name, user), user)
        self.programs = programs.postgres()
        self.user = user
        super().__init__(
            self.programs,
            self.folder,
            Log(root / "log" / f"{name}.log"),
            root / "postgres.password",
            user,
            options=(*_OPTIONS, "-c", f"cluster_name={name}"),
        )
        self.name = name

    @property
    def address(self) -> str:
        """Where it alone is found, for asyncpg."""
        return self.url.replace("+asyncpg", "", 1)

    def _is_ready(self) -> bool:
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return lines[:1] == [str(self.pid)] and [line.strip() for line in lines[7:8]] in ([word] for word in _READY)

    async def follow(self, leader: "Member") -> None:
        """Become a new copy of the leader that follows it, whatever was here before."""
        data = self.folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        # As `pg_basebackup` does it, which is not among the servers' own programs.
        connection = await asyncpg.connect(leader.address)
        try:
            await connection.execute("select pg_backup_start('pair', true)")
            await asyncio.to_thread(_copy, leader.folder / "data", data)
            label = await connection.fetchval("select labelfile from pg_backup_stop(false)")
        finally:
            await connection.close()
        (data / "backup_label").write_text(label)
        (data / "standby.signal").touch()
        at = urlsplit(leader.url)
        with (data / "postgresql.auto.conf").open("a") as file:
            conninfo = f"host={at.hostname} port={at.port} user={at.username} password={at.password}"
            file.write(f"primary_conninfo = '{conninfo}'\n")
        if self.user is not None:
            for made in (data, *data.rglob("*")):
                os.chown(made, self.user.uid, self.user.gid)
        self.prepare()
        self.start()

    def kill_all(self) -> None:
        """End it and all that it started at once, as a power cut would."""
        pid = self.pid
        self.kill()
        if pid is not None:
            self._end_orphans()


@dataclass
class Pair:
    """The one that takes writes and the one that follows; they change places."""

    leader: Member
    follower: Member

    @property
    def url(self) -> str:
        """The address of both, as processes are given it. It stays the same whoever leads."""
        return together([each.url for each in self.members])

    @property
    def members(self) -> tuple["Member", "Member"]:
        """Both, in an order that stays the same."""
        first, second = sorted((self.leader, self.follower), key=lambda member: member.name)
        return first, second

    async def tell(self, *statements: str) -> None:
        """Run statements where writes are taken, one by one."""
        connection = await asyncpg.connect(self.leader.address)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def wait_for_the_follower(self) -> None:
        """From now on nothing is acknowledged that the follower has not on its disk."""
        await self.tell("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()")
        await eventually(self._is_followed, "the follower is waited for")

    async def wait_for_nobody(self) -> None:
        """What the leader has on its own disk is acknowledged."""
        await self.tell("alter system set synchronous_standby_names = ''", "select pg_reload_conf()")

    async def promote(self) -> None:
        """The follower leads: for the caller to say when the old leader is dead."""
        self.leader, self.follower = self.follower, self.leader
        await self.tell("select pg_promote(true, 60)")
        # Nobody follows it yet; it would wait for ever.
        await self.wait_for_nobody()

    async def rebuild(self) -> None:
        """The old leader comes back as a new copy of the new one, never as what it was."""
        self.follower.stop()
        await self.follower.follow(self.leader)

    async def _is_followed(self) -> bool:
        connection = await asyncpg.connect(self.leader.address)
        try:
            row = await connection.fetchrow(
                "select exists (select from pg_stat_replication where state = 'streaming' and sync_state = 'sync')"
            )
            return bool(row and row[0])
        finally:
            await connection.close()


def together(urls: Sequence[str]) -> str:
    """One address that names the servers of several."""
    first = urlsplit(urls[0])
    hosts = "&".join(f"host={LOOPBACK}:{urlsplit(each).port}" for each in urls)
    return urlunsplit(first._replace(netloc=f"{first.netloc.rpartition('@')[0]}@", query=hosts))


@contextmanager
def a_pair() -> Iterator[Pair]:
    """Two servers for as long as the block runs, the second following; nothing of them stays."""
    root = ROOT / ".relais" / f"pair-{uuid4().hex[:8]}"
    (root / "log").mkdir(parents=True)
    user = server_user(root)
    programs = Programs(reachable(ROOT / ".relais" / "packages", user), print)
    with ExitStack() as undo:
        undo.callback(_remove, root, user)
        first, second = (Member(name, programs, root, user) for name in ("first", "second"))
        for each in (first, second):
            undo.callback(_end, each)
        first.prepare()
        first.start()
        asyncio.run(second.follow(first))
        yield Pair(first, second)


def _copy(source: Path, target: Path) -> None:
    """Copy the data of a running server, of which a file may go meanwhile; its log is asked for over the wire."""
    shutil.copytree(source, target, symlinks=True, copy_function=_copy_what_is_there, ignore=_what_is_its_own)
    (target / "pg_wal" / "archive_status").mkdir(parents=True)
    target.chmod(0o700)


def _copy_what_is_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _what_is_its_own(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in ("postmaster.pid", "postmaster.opts", "pg_wal", "standby.signal")}


def _end(member: Member) -> None:
    if member.pid is not None:
        os.killpg(member.pid, SIGKILL)
    member.kill_all()


def _remove(root: Path, user: ServerUser | None) -> None:
    for folder in {root, *(reachable(root / name, user) for name in ("first", "second"))}:
        shutil.rmtree(folder, ignore_errors=True)
