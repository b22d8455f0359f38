"""A private PostgreSQL on this machine's own address: made once, started and stopped in order.

Committed data is kept through kill -9 and power cuts (`fsync`, `synchronous_commit`). Neither statements,
nor their parameters, nor errors that quote them are logged.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT

from relais.embedded.ports import LOOPBACK
from relais.embedded.problem import StackProblem
from relais.embedded.processes import (
    Ending,
    Log,
    command_line,
    end_left_over,
    finish,
    last_lines,
    running_in,
    spawn,
    wait_until,
)
from relais.embedded.programs import PostgresPrograms
from relais.embedded.server import Server
from relais.embedded.users import ServerUser, keep_theirs

ROLE = "relais"
DATABASE = "relais"

_READY_SECONDS = 120  # replaying the log after a crash takes its time
_LETTING_GO_SECONDS = 10
_ORPHANS_SECONDS = 3
_STATUS = slice(7, 8)  # the line of postmaster.pid that says how far it is
# UTC by its built-in name where the machine has no time zone tables.
_CLOCK = "UTC" if Path("/usr/share/zoneinfo/UTC").exists() else "GMT"
# Memory that is set aside is only used when there is something to keep in it.
_LARGE_MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >= 4 * 1024**3
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "1GB" if _LARGE_MACHINE else "256MB",
    "max_wal_size": "2GB",
    # Switching it on later would need a restart; until a backup names a command, `/bin/true` keeps nothing.
    "archive_mode": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": _CLOCK,
    "log_timezone": _CLOCK,
    "logging_collector": "off",
    "log_destination": "stderr",
    # Errors quote what was sent ("invalid input syntax for ..."): only the server's own life is logged.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
REPLACED = "data.replaced"
"""Beside the data, what it was before a restore took its place."""
NOT_KEPT = "/bin/true"
"""The `archive_command` of a server of ours whose log nobody keeps."""
KEEPS_NOTHING = frozenset({"", "(disabled)", NOT_KEPT})
"""Those of any server whose log nobody keeps."""
_OPTIONS = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]


class Postgres(Server):
    """One private cluster with the database `relais`."""

    name = "PostgreSQL"
    endings = (Ending(SIGINT, 30), Ending(SIGQUIT, 10), Ending(SIGKILL, 5))  # fast, immediate, by force

    def __init__(
        self,
        programs: PostgresPrograms,
        folder: Path,
        log: Log,
        password_file: Path,
        user: ServerUser | None,
        *,
        options: Sequence[str] = (),
        ready_seconds: float = _READY_SECONDS,
    ) -> None:
        """`folder`: the server user's own (0700), for the cluster; `password_file`: the caller's (0600).

        `options` of the server come after ours; `ready_seconds` is how long a start may take.
        """
        super().__init__(log)
        self._options = options
        self._ready_seconds = ready_seconds
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._password_file = password_file
        self._user = user
        self._password = ""

    @property
    def url(self) -> str:
        """Where SQLAlchemy with asyncpg finds the database, with the password."""
        return f"postgresql+asyncpg://{ROLE}:{self._password}@{LOOPBACK}:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Clear away what an earlier owner left behind; make the cluster if there is none yet."""
        end_left_over(mark_of_postgres(self._folder), self.endings)
        if not self._data.exists():
            self._see_that_none_was_replaced()
            self._make()
        self._check_major()
        self._archive_somewhere()
        self._forget_stranger()
        if self._password_file.exists():
            self._password = self._password_file.read_text().strip()
        else:
            self._choose_password()

    def start_again(self) -> None:
        """Start it on its port once nothing of the one that died is left; raises StackProblem."""
        self._end_orphans()
        self.start()

    def _end_orphans(self) -> None:
        # The backends of a killed postmaster notice its death when they next wait; one in a long statement does not.
        # They hold the shared memory without which the next one refuses to start, and lead sessions of their own.
        # Only PostgreSQL itself works in its data folder, which nobody else may enter.
        for sent in (SIGQUIT, SIGKILL):
            if wait_until(lambda: not running_in(self._data), _ORPHANS_SECONDS):
                return
            for pid in running_in(self._data):
                with suppress(ProcessLookupError):
                    os.kill(pid, sent)
        wait_until(lambda: not running_in(self._data), _ORPHANS_SECONDS)

    def _start_on(self, port: int) -> str:
        """Try `port`; what the server said."""
        said = ""

        def ended_for_good() -> bool:
            nonlocal said
            offset = self.log.size()
            self._process = self._spawn("-p", str(port), *_OPTIONS, *self._options)
            wait_until(lambda: self.pid is None or self._is_ready(), self._ready_seconds)
            if not self._is_ready():
                self.stop()
            said = self.log.since(offset)
            # The last children of a killed postmaster take a moment to notice and let go of its memory.
            return self.pid is not None or "shared memory block" not in said

        wait_until(ended_for_good, _LETTING_GO_SECONDS)
        return said

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return lines[:1] == [str(self.pid)] and [line.strip() for line in lines[_STATUS]] == ["ready"]

    def _make(self) -> None:
        """Make the cluster aside and move it into place when whole: an interrupted start leaves no half."""
        aside = self._folder / "data.new"
        if aside.exists():
            shutil.rmtree(aside)
        self._password_file.unlink(missing_ok=True)
        initdb = self._programs.folder / "initdb"
        arguments = ["-D", str(aside), "-U", ROLE, "--encoding=UTF8", "--locale=C.UTF-8", "--auth=reject"]
        offset = self.log.size()
        if finish(self._spawn(*arguments, program=initdb)) != 0:
            raise self._problem(self.log.since(offset), "PostgreSQL's data folder could not be made.")
        # The file is initdb's, so it stays the server user's own.
        (aside / "pg_hba.conf").write_text(
            "".join(f"host {what} all {LOOPBACK}/32 scram-sha-256\n" for what in ("all", "replication"))
        )
        self._tell_alone(f"create database {DATABASE};", aside)
        aside.rename(self._data)

    def _check_major(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if made_by != str(self._programs.major):
            raise StackProblem(
                f"The data under {self._data} was written by PostgreSQL {made_by}, and this machine now "
                f"offers PostgreSQL {self._programs.major}. The data is safe and was not touched. What to "
                f"do: install `postgresql-{made_by}-postgis-3` to go on with it, or move {self._folder} "
                "aside to start empty."
            )

    def _forget_stranger(self) -> None:
        # After a reboot the number in postmaster.pid may be somebody else's, and PostgreSQL would not start.
        # Only then is the file removed: it also guards memory that children of a killed server still hold.
        lock = self._data / "postmaster.pid"
        if lock.exists():
            number = lock.read_text().split("\n", 1)[0].strip()
            if number.isdecimal() and (found := command_line(int(number))) and b"postgres" not in found:
                lock.unlink()

    def _see_that_none_was_replaced(self) -> None:
        replaced = self._folder / REPLACED
        if replaced.exists():
            raise StackProblem(
                f"There is no data at {self._data}, but in {replaced} there is: a restore was cut short as it took its "
                f"place. Nothing was changed. What to do: `mv {replaced} {self._data}` to have what was there "
                "before, then restore again."
            )

    def _archive_somewhere(self) -> None:
        # Without any command the server would keep its whole log until one comes. It is no option of the start: those
        # cannot be changed while the server runs.
        standing = self._data / "postgresql.auto.conf"
        if "archive_command" not in standing.read_text():
            with standing.open("a") as file:
                file.write(f"archive_command = '{NOT_KEPT}'\n")

    def _choose_password(self) -> None:
        password = secrets.token_hex(24)
        self._tell_alone(f"alter role {ROLE} password '{password}';", self._data)
        # Written last: the file exists only when the server knows what stands in it.
        partial = self._password_file.with_suffix(".new")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
        partial.rename(self._password_file)
        keep_theirs(self._password_file)
        self._password = password

    def _tell_alone(self, statement: str, data: Path) -> None:
        """Run one statement in a server that nobody else can reach (single-user mode)."""
        offset = self.log.size()
        process = self._spawn(
            "--single", "-D", str(data), *_OPTIONS, "-c", "log_min_messages=error", "postgres",
            told=statement.encode() + b"\n",
        )  # fmt: skip
        code = finish(process)
        said = self.log.since(offset)
        if code != 0 or "ERROR:" in said or "FATAL:" in said:
            raise self._problem(said, "PostgreSQL's data could not be prepared.")

    def _spawn(self, *arguments: str, program: Path | None = None, told: bytes = b"") -> subprocess.Popen[bytes]:
        chosen = program or self._programs.folder / "postgres"
        is_server = program is None and arguments[0] != "--single"
        return spawn(
            [str(chosen), *(("-D", str(self._data)) if is_server else ()), *arguments],
            program=chosen,
            environment=self._programs.environment,
            user=self._user,
            folder=self._folder,
            log=self.log,
            told=told,
        )

    def _problem(self, said: str, what: str = "PostgreSQL did not start.") -> StackProblem:
        return StackProblem(
            f"{what} Its data under {self._data} is as it was. It said:\n{last_lines(said)}\n"
            f"What to do: see {self.log.path}; make sure that the disk is not full, then start again. "
            "Where it speaks of missing libraries, remove the folder of unpacked packages first: it is "
            "fetched anew."
        )


def mark_of_postgres(folder: Path) -> bytes:
    """What the command line of a server with its cluster in `folder` contains."""
    return b"\0-D\0" + bytes(folder / "data")  # also data.new, of a start that was interrupted
