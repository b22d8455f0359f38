"""Restoring: aside first, and put in place only once it is whole, at the moment asked for, and true again.

To a moment that has passed, the log is read twice: once to its end, which tells what has been purged since, then to the
moment. The tombstones need no way of their own: they travel in the log, sealed.
"""

import asyncio
import re
import secrets
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from db.settings import Settings
from relais.backups.problem import BackupProblem
from relais.backups.reckoning import Reckoning, newest_tombstones, reckon
from relais.backups.repository import Backup, Repository
from relais.embedded.choosing import Programs
from relais.embedded.ports import LOOPBACK
from relais.embedded.postgres import NOT_KEPT, Postgres, mark_of_postgres
from relais.embedded.problem import StackProblem
from relais.embedded.processes import Log, end_left_over
from relais.embedded.users import ServerUser, folder_for, open_folder, reachable

_Answer = TypeVar("_Answer")

__all__ = ["Aside", "Restored", "restore_aside"]

# While it is looked at, nothing is archived, and nothing is forgotten that has to be.
_LOOKED_AT: Final = (
    "-c", "archive_command=", "-c", "hot_standby=off", "-c", "recovery_init_sync_method=syncfs",
)  # fmt: skip
_RECOVERY_SECONDS: Final = 24 * 3600.0
_OF_RECOVERY: Final = re.compile(r"\s*(restore_command|recovery_target\w*|archive_command)\s*=|\s*#")
_REACHED: Final = re.compile(r"last completed transaction was at log time (\S+ \S+)")
_TOO_SHORT: Final = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: until when its last transaction was, and what is there."""

    until: datetime | None
    reckoning: Reckoning


@dataclass(frozen=True, slots=True)
class Aside:
    """A server of its own under `root`, which nobody knows of yet."""

    root: Path
    user: ServerUser | None
    programs: Programs

    @property
    def folder(self) -> Path:
        """The server's own folder, with its data."""
        return reachable(self.root, self.user) / "postgres"

    @property
    def data(self) -> Path:
        """Its data."""
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        """Where the password of its database stands."""
        return self.root / "postgres.password"

    def make(self) -> None:
        """The folders, empty."""
        self.remove()
        open_folder(self.root)
        folder_for(folder_for(self.folder, self.user) / "data", self.user)

    def remove(self) -> None:
        """Leave nothing behind, also of a restore that was killed."""
        end_left_over(mark_of_postgres(self.folder), Postgres.endings)
        for folder in {self.root, reachable(self.root, self.user)}:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def running(self) -> Iterator[Postgres]:
        """The server, for as long as the block runs: recovered first where that is due. Raises StackProblem."""
        server = Postgres(
            self.programs.postgres(),
            self.folder,
            Log(self.root / "log" / "postgres.log"),
            self.password_file,
            self.user,
            options=_LOOKED_AT,
            ready_seconds=_RECOVERY_SECONDS,
        )
        try:
            server.prepare()
            server.start()
            yield server
        finally:
            server.stop()


def restore_aside(
    aside: Aside,
    repository: Repository,
    backup: Backup,
    moment: datetime | None,
    brought: frozenset[bytes] | None,
    keys: Settings,
    tell: Callable[[str], None],
) -> Restored:
    """Restore a backup and the log up to `moment`, or to the end, into a server aside, which is stopped again.

    `brought` are tombstones that were kept elsewhere: what comes after the moment is then not read at all. Of `keys`
    the files are used. Raises StackProblem; whoever calls removes what is aside.
    """
    aside.make()
    newest = brought or frozenset[bytes]()
    if moment is not None and brought is None:
        tell("Reading the log to its end, for what has been purged since ...")
        _recover(aside, repository, backup, None)
        newest = _asked(aside, keys, newest_tombstones)
    tell("Restoring ...")
    until = _recover(aside, repository, backup, moment)
    tell("Purging again what was purged, and looking whether all is as it must be ...")

    async def reckoned(settings: Settings) -> Reckoning:
        return await reckon(settings, newest)

    return Restored(until, _asked(aside, keys, reckoned))


def _recover(aside: Aside, repository: Repository, backup: Backup, moment: datetime | None) -> datetime | None:
    """Bring the data aside to a moment, and leave it so that it starts as any other. When its last transaction was."""
    repository.restore(backup, moment)
    _furnish(aside)
    # The server knows another password; until it has recovered nobody may tell it a new one.
    aside.password_file.write_text(secrets.token_hex(24))
    log = Log(aside.root / "log" / "postgres.log")
    before = log.size()
    try:
        with aside.running():
            pass
    except StackProblem as problem:
        if _TOO_SHORT in log.since(before):
            raise BackupProblem(
                f"The log that was kept ends before the moment asked for{_reached_in_words(log.since(before))}. "
                "Nothing was restored. What to do: ask for an earlier moment, or leave --at out to have all there is."
            ) from problem
        raise
    aside.password_file.unlink()
    standing = aside.data / "postgresql.auto.conf"
    lines = [line for line in standing.read_text().splitlines(keepends=True) if not _OF_RECOVERY.match(line)]
    standing.write_text("".join([*lines, f"archive_command = '{NOT_KEPT}'\n"]))
    return _reached(log.since(before))


def _furnish(aside: Aside) -> None:
    """What a server of another house may keep elsewhere, and who may come in: by password, from this machine."""
    settings, doors = aside.data / "postgresql.conf", aside.data / "pg_hba.conf"
    if not settings.exists():
        settings.touch()
    doors.write_text("".join(f"host {what} all {LOOPBACK}/32 scram-sha-256\n" for what in ("all", "replication")))


def _asked(aside: Aside, keys: Settings, ask: Callable[[Settings], Coroutine[None, None, _Answer]]) -> _Answer:
    """What the running server aside answers."""
    with aside.running() as server:
        return asyncio.run(
            ask(Settings(database_url=server.url, secret_file=keys.secret_file, address_key_file=keys.address_key_file))
        )


def _reached(said: str) -> datetime | None:
    found = _REACHED.findall(said)
    return datetime.fromisoformat(found[-1]) if found else None


def _reached_in_words(said: str) -> str:
    reached = _reached(said)
    return f", at {reached:%Y-%m-%d %H:%M:%S} UTC" if reached else ""
