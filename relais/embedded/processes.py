"""Server processes: start one apart from the terminal, stop it in order, find one left by an earlier start.

A server gets a session of its own: Ctrl-C in the terminal reaches the owner alone, who then stops the
servers in order. Left-overs are recognised by their command line, never by a process number in a file:
numbers are given again to strangers, and a file outlives a crash.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.problem import StackProblem
from relais.embedded.users import ServerUser, keep_theirs, open_folder

_LOG_LIMIT_BYTES = 5_000_000
_LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class Ending:
    """One step of stopping: the signal to send and how many seconds to wait for it to work."""

    sent: signal.Signals
    seconds: float


@dataclass(frozen=True)
class Log:
    """The file that a server writes to; it belongs to the caller (0600), the server only inherits it open."""

    path: Path

    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, offset: int) -> str:
        """What was written after `offset` bytes; all there is when the log started anew since."""
        with self.path.open("rb") as log:
            log.seek(offset if offset <= self.size() else 0)
            return log.read().decode(errors="replace")

    def open_to_write(self) -> int:
        """A file descriptor to append to; an overgrown log starts anew."""
        open_folder(self.path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if self.size() > _LOG_LIMIT_BYTES:
            flags |= os.O_TRUNC
        descriptor = os.open(self.path, flags, 0o600)
        keep_theirs(self.path)
        return descriptor


def spawn(
    command: Sequence[str],
    *,
    program: Path,
    environment: Mapping[str, str],
    user: ServerUser | None,
    folder: Path,
    log: Log,
    told: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start `program` under the name `command[0]` as `user` in `folder`; `told` is its standard input."""
    output = log.open_to_write()
    try:
        process = subprocess.Popen(
            list(command),
            executable=program,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=0o077,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
    except PermissionError as error:
        raise StackProblem(
            f"{program.name} could not be started"
            + (f" as the user `{user.name}`" if user else "")
            + f" ({error.strerror}). Nothing was lost. What to do: start again as an ordinary user."
        ) from error
    finally:
        os.close(output)
    if process.stdin is not None:
        try:
            process.stdin.write(told)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; whoever waits for it reads why in the log
    return process


def finish(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child that ends by itself; when the wait is cut short, the child and its own go too."""
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
        process.wait()
        raise


def end(process: subprocess.Popen[bytes], endings: Sequence[Ending]) -> None:
    """Stop a child: each ending is tried in turn until one works."""
    for ending in endings:
        if process.poll() is not None:
            return
        process.send_signal(ending.sent)
        try:
            process.wait(ending.seconds)
        except subprocess.TimeoutExpired:
            continue


def command_line(pid: int) -> bytes:
    """The arguments of a process, separated by NUL; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def running_with(mark: bytes) -> list[int]:
    """The processes whose command line contains `mark` (arguments separated by NUL)."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in numbers if mark in command_line(pid)]


def running_in(folder: Path) -> list[int]:
    """The processes whose working folder is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or is another user's and so none of ours
    return found


def end_left_over(mark: bytes, endings: Sequence[Ending]) -> None:
    """Stop what an owner that was killed left running; raises StackProblem when it does not end."""
    if not running_with(mark):
        return
    for ending in endings:
        for pid in running_with(mark):
            try:
                os.kill(pid, ending.sent)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise StackProblem(
                    f"A server of an earlier start still runs as another user (process {pid}). Its data is "
                    f"safe. What to do: `sudo kill {pid}`, then start again."
                ) from error
        if wait_until(lambda: not running_with(mark), ending.seconds):
            return
    raise StackProblem(
        f"A server of an earlier start does not end (processes {running_with(mark)}). Its data is safe. "
        "What to do: end them with `kill -9`, then start again."
    )


def ending_in_words(status: int) -> str:
    """How a child ended, from its return code as `subprocess` has it."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Look every few milliseconds until `true()` or `seconds` have passed; which of the two it was."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


def last_lines(said: str) -> str:
    """The end of what a server said, for a message."""
    return "\n".join(f"    {line}" for line in said.strip().splitlines()[-4:]) or "    (nothing)"
