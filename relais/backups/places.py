"""Where the parts of a backup are: its folder, its key, the program, and the server's data."""

import os
import pwd
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.settings import Settings
from relais.backups.problem import BackupProblem
from relais.backups.repository import Connection, Repository
from relais.backups.settings import BackupSettings
from relais.embedded.choosing import Programs
from relais.embedded.postgres import KEEPS_NOTHING
from relais.embedded.users import ServerUser, folder_for, reachable, server_user
from relais.up import kept

__all__ = ["Places", "Running"]

_KEY_BYTES: Final = 48
_WHERE: Final = text("""
    select current_setting('data_directory') as data, current_setting('port') as port,
           current_setting('archive_mode') as mode, current_setting('archive_command') as command
""")


@dataclass(frozen=True, slots=True)
class Running:
    """A running server: its data folder and whose it is, how to reach it, and whether it keeps its log."""

    data: Path
    user: ServerUser | None
    connection: Connection
    keeps_log: bool
    command: str

    @classmethod
    async def of(cls, tx: AsyncConnection, settings: Settings) -> "Running":
        """The server of this connection; raises BackupProblem where its files cannot be read from here."""
        row = (await tx.execute(_WHERE)).one()
        data = Path(row.data)
        owner = _owner_of(data)
        if owner is None or os.geteuid() not in (0, owner):
            raise BackupProblem(
                f"The database's files ({data}) cannot be read from here: it runs on another machine, or as another "
                "user. Nothing was changed. What to do: run this on the database's machine as its user (mostly "
                "`postgres`) or as root; docs/backup.md says how."
            )
        address = urlsplit(settings.database_address)
        connection = Connection(
            address.hostname or "127.0.0.1",
            int(row.port),
            unquote(address.username or "relais"),
            unquote(address.password or ""),
        )
        return cls(data, _acting_for(owner), connection, row.mode in ("on", "always"), row.command)

    @property
    def keeps_nothing_yet(self) -> bool:
        """Whether no other command has been given the log."""
        return self.command in KEEPS_NOTHING


@dataclass(frozen=True, slots=True)
class Places:
    """Where the house at `root` has its backups."""

    root: Path
    settings: BackupSettings
    programs: Programs
    tell: Callable[[str], None]

    @classmethod
    def of_house(cls, root: Path, settings: BackupSettings, tell: Callable[[str], None]) -> "Places":
        """With the programs of the house itself."""
        return cls(root, settings, Programs.of_stack(root, server_user(root), tell), tell)

    @property
    def key_file(self) -> Path:
        """The file with the passphrase."""
        return self.settings.backup_key_file or self.root / "secrets" / "backup-key"

    def folder(self, user: ServerUser | None) -> Path:
        """The folder of the backups."""
        return (self.settings.backup_folder or reachable(self.root, user) / "backups").absolute()

    def make(self, user: ServerUser | None) -> None:
        """The folder and the key, where there are none yet."""
        folder = self.folder(user)
        if not folder.exists():
            folder_for(folder, user)
        if self.settings.backup_key_file is None:
            kept(self.key_file, secrets.token_urlsafe(_KEY_BYTES).encode() + b"\n")

    def repository(self, user: ServerUser | None, data: Path, name: str) -> Repository:
        """The backups, for a server whose files are those of `user` in `data`. Raises StackProblem."""
        folder = self.folder(user)
        if not folder.exists():
            raise BackupProblem(
                f"There is no backup here: the folder {folder} does not exist. Nothing was changed. What to do: "
                "`relais backup` makes the first; to restore what was backed up elsewhere, put a copy of that folder "
                "there, or name it in RELAIS_BACKUP_FOLDER."
            )
        self._check_owner(folder, user)
        home = folder_for(reachable(self.root, user) / "pgbackrest", user)
        return Repository(self.programs.pgbackrest(), folder, self._key(), home, user, data, name)

    def for_restoring(self) -> ServerUser | None:
        """As whom a restored server would run."""
        return server_user(self.root)

    def _key(self) -> str:
        try:
            key = self.key_file.read_text().strip()
        except OSError as error:
            raise BackupProblem(
                f"The key file of the backups ({self.key_file}) cannot be read ({error.strerror}). Nothing was "
                "changed. What to do: put your copy of it in place, or name it in RELAIS_BACKUP_KEY_FILE."
            ) from None
        if len(key) < 32 or not key.isprintable() or any(mark.isspace() for mark in key):
            raise BackupProblem(
                f"The key file of the backups ({self.key_file}) must hold one line of at least 32 characters without "
                "spaces. Nothing was changed. What to do: `openssl rand -base64 48 > FILE` makes one."
            )
        return key

    def _check_owner(self, folder: Path, user: ServerUser | None) -> None:
        if user is not None and folder.exists() and folder.stat().st_uid != user.uid:
            raise BackupProblem(
                f"The folder of the backups ({folder}) does not belong to `{user.name}`, as whom the database runs. "
                f"Nothing was changed. What to do: `chown -R {user.name} {folder}`, then try again."
            )


def _owner_of(data: Path) -> int | None:
    try:
        return data.stat().st_uid
    except OSError:
        return None


def _acting_for(owner: int) -> ServerUser | None:
    if os.geteuid() == owner:
        return None
    entry = pwd.getpwuid(owner)
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)
