"""The folder of backups, by pgBackRest: made, listed, looked through, read and thrown away.

Everything in it is sealed (AES-256) under the passphrase of the key file and has its checksum. All runs as the user of
the server, whose files it reads and writes.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from relais.backups import log_files
from relais.backups.problem import BackupProblem
from relais.embedded.programs import Program
from relais.embedded.users import ServerUser

__all__ = ["LOST_AT_MOST_SECONDS", "Backup", "Connection", "Repository", "past_term"]

_STANZA: Final = "relais"
LOST_AT_MOST_SECONDS: Final = 60
"""Of what was acknowledged, with the machine: a log file is closed and kept at least so often."""
_UNREADABLE: Final = 99
"""pgBackRest's status of a repository that it cannot make sense of."""
_DROPPED_FROM: Final = "4GiB"
"""Of the log that cannot be kept: more is given up, so that a broken folder never fills the server's disk."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One base backup; `log_from` names the first log file that it needs."""

    label: str
    began: datetime
    ended: datetime
    stored_bytes: int
    log_from: str
    major: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connection:
    """How pgBackRest reaches the running server."""

    host: str
    port: int
    user: str
    password: str


class Repository:
    """The backups in `folder`, for a server whose files lie in `data`.

    `home` is the server user's own folder (0700), where pgBackRest's configuration stands under `name`.
    """

    def __init__(
        self, program: Program, folder: Path, key: str, home: Path, user: ServerUser | None, data: Path, name: str
    ) -> None:
        self._program = program
        self._folder = folder
        self._key = key
        self._user = user
        self._data = data
        self._configuration = home / f"{name}.conf"
        self._command = home / "pgbackrest"

    @property
    def archive_command(self) -> str:
        """What keeps the server's log; read by the server with a shell."""
        return f"{shlex.join(self._call())} archive-push %p"

    def keeping_log(self) -> tuple[str, ...]:
        """The server's settings, as they are written in its files, with which it keeps its log here."""
        command = self.archive_command.replace("'", "''")
        return (f"archive_command = '{command}'", f"archive_timeout = '{LOST_AT_MOST_SECONDS}s'")

    def set_up(self, connection: Connection | None = None) -> None:
        """Write the configuration."""
        reached = f"pg1-port={connection.port}\npg1-user={connection.user}\n" if connection else ""
        self._write(
            self._configuration,
            f"[global]\nrepo1-path={self._folder}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={self._key}\n"
            # What is past its term we name ourselves; its log goes with it.
            "repo1-retention-full-type=time\nrepo1-retention-full=90\n"
            f"lock-path={self._configuration.parent}/lock\nlog-level-file=off\nlog-level-console=off\n"
            f"log-level-stderr=error\nneutral-umask=n\ncompress-type=zst\nstart-fast=y\nrepo1-bundle=y\njob-retry=0\ncmd={self._command}\n"
            f"archive-push-queue-max={_DROPPED_FROM}\n"
            f"[{_STANZA}]\npg1-path={self._data}\n{reached}",
            0o600,
        )
        # The server calls it in an environment of its own.
        given = shlex.join(f"{name}={value}" for name, value in self._program.environment.items())
        self._write(
            self._command, f'#!/bin/sh\nexec env {given} {shlex.quote(str(self._program.program))} "$@"\n', 0o700
        )

    def open(self, connection: Connection) -> None:
        """Make the repository where there is none, and see that it is this server's."""
        self._run(connection, "stanza-create")

    def back_up(self, connection: Connection, annotations: Mapping[str, str]) -> None:
        """Make a base backup; returns once it and the log that it needs are whole in the folder."""
        marks = [f"--annotation={name}={value}" for name, value in annotations.items()]
        self._run(connection, "backup", "--type=full", *marks)

    def backups(self) -> list[Backup]:
        """All that can be restored, oldest first. Raises BackupProblem where the key does not open them."""
        if not self._folder.exists():
            return []
        # It quotes what it could not read, with control characters in it.
        said = json.loads(self._run(None, "info", "--output=json"), strict=False)
        (stanza,) = said or [{"status": {"code": 0}, "backup": []}]
        if stanza["status"]["code"] == _UNREADABLE:
            raise BackupProblem(
                f"The backups in {self._folder} cannot be opened: the key file is not the one they were sealed under, "
                "or they are damaged. Nothing was changed. What to do: put the copy of the key file in place "
                "(RELAIS_BACKUP_KEY_FILE), then try again."
            )
        majors = {each["id"]: int(each["version"].partition(".")[0]) for each in stanza.get("db", [])}
        return [
            Backup(
                each["label"],
                datetime.fromtimestamp(each["timestamp"]["start"], UTC),
                datetime.fromtimestamp(each["timestamp"]["stop"], UTC),
                each["info"]["repository"]["delta"],
                each["archive"]["start"],
                majors[each["database"]["id"]],
                each.get("annotation") or {},
            )
            for each in stanza["backup"]
            if not each["error"] and each["archive"]["start"]
        ]

    def flaws(self, backup: Backup) -> list[str]:
        """What is missing or changed of a backup and of the log since, in words; reads all of the folder."""
        checked = self._run(None, "verify", "--output=text").splitlines()
        labels = [line.partition("backup: ")[2].partition(",")[0] for line in checked]
        wrong = [
            " ".join(line.split())
            for line, label in zip(checked, labels, strict=True)
            if "archiveId" in line or label == backup.label or "usable" in line
        ]
        gone = log_files.missing(self._log_files(), backup.log_from)
        return [*wrong, *(f"the log file {name} is missing" for name in gone)]

    def restore(self, backup: Backup, moment: datetime | None) -> None:
        """Put a backup into the data folder, to be recovered to a moment, or to the end, when its server starts.

        What lies there is changed where it differs.
        """
        until = (
            ("--type=default",)
            if moment is None
            else ("--type=time", f"--target={moment.astimezone(UTC).isoformat(' ')}", "--target-action=promote")
        )
        self._run(None, "restore", "--delta", f"--set={backup.label}", *until)

    def throw_away(self, backup: Backup) -> None:
        """Delete a backup, and the log that no other needs."""
        self._run(None, "expire", f"--set={backup.label}")

    def _log_files(self) -> list[str]:
        listed = json.loads(self._run(None, "repo-ls", "--recurse", "--output=json", f"archive/{_STANZA}"))
        return [name for name, facts in listed.items() if facts["type"] == "file"]

    def _call(self) -> list[str]:
        return [str(self._command), f"--config={self._configuration}", f"--stanza={_STANZA}"]

    def _run(self, connection: Connection | None, command: str, *arguments: str) -> str:
        reached = (
            {"PGHOST": connection.host, "PGPASSWORD": connection.password, "PGCONNECT_TIMEOUT": "10"}
            if connection
            else {}
        )
        result = subprocess.run(
            [*self._call(), command, *arguments],
            env={"PATH": "/usr/bin:/bin", **reached},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            umask=0o077,
            user=self._user.uid if self._user else None,
            group=self._user.gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        if result.returncode != 0:
            raise BackupProblem(_in_words(command, result.stderr.decode(errors="replace")))
        return result.stdout.decode(errors="replace")

    def _write(self, file: Path, content: str, mode: int) -> None:
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
            out.write(content)
        if self._user:
            os.chown(draft, self._user.uid, self._user.gid)
        draft.replace(file)


def past_term(backups: Sequence[Backup], days: int, now: datetime) -> list[Backup]:
    """Of backups, oldest first, those that are older than their term; the newest stays, whatever its age."""
    return [each for each in backups[:-1] if each.ended < now - timedelta(days=days)]


def _in_words(command: str, said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    # Its errors name files and settings, never what is in the database.
    told = "\n".join(f"    {line.strip()}" for line in lines[:4]) or "    (nothing)"
    return (
        f"pgBackRest could not do its part ({command}). The database and earlier backups are as they were. It said:\n"
        f"{told}\nWhat to do: see that the folder of backups can be written and has room; docs/backup.md says more."
    )
