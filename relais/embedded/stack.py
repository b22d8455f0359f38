"""The stack as a whole: who owns it, in what order it starts, and that nothing stays running after it.

An owner holds a lock that the kernel releases when it dies, so a stale process number never blocks a start.
What a killed owner left running is ended at the next start, or by `stop_stack`.
"""

import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from relais.embedded import programs
from relais.embedded.choosing import Programs
from relais.embedded.postgres import Postgres, mark_of_postgres
from relais.embedded.problem import StackProblem
from relais.embedded.processes import Log, end_left_over, wait_until
from relais.embedded.redis import Redis, mark_of_redis
from relais.embedded.users import ServerUser, folder_for, keep_theirs, open_folder, reachable, server_user

_STOP_SECONDS = 60
_LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class StackUrls:
    """Where the two servers are found, passwords included: never to be logged or shown. No Redis is empty."""

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class Stack(StackUrls):
    """A running stack; a server that was configured from outside is None here and nobody's to stop."""

    postgres: Postgres | None
    redis: Redis | None


@contextmanager
def running_stack(
    root: Path,
    *,
    tell: Callable[[str], None],
    packages: Path | None = None,
    database_url: str | None = None,
    redis_url: str | None = None,
    options: Sequence[str] = (),
) -> Iterator[Stack]:
    """PostgreSQL with PostGIS and Redis for as long as the block runs; nothing of them runs on after it.

    `root` holds data, logs and passwords; `packages` the unpacked programs, by default in the project's
    `.relais` that `root` is or lies in, so that all its stacks share them. A URL that is given is used as it
    is, and that server is not started; an empty one for Redis means that there is none. `options` are PostgreSQL's,
    after ours. While the block runs in the main thread, SIGTERM and SIGHUP end it like Ctrl-C unless the caller handles
    them. Raises StackProblem.
    """
    if database_url and redis_url is not None:
        yield Stack(database_url, redis_url, None, None)
        return
    if sys.platform != "linux":
        raise StackProblem(
            "Relais starts its own PostgreSQL and Redis on Linux only. Nothing was started. What to do: on "
            "macOS, `brew install postgis redis`, start both with `brew services start`, create a database, "
            "and set RELAIS_DATABASE_URL and RELAIS_REDIS_URL."
        )
    root = root.absolute()
    with ExitStack() as undo:
        undo.enter_context(_ended_by_signals())
        with _files_explained(root):
            undo.enter_context(owned(root))
            user = server_user(root)
            chosen = Programs(reachable(packages, user), tell) if packages else Programs.of_stack(root, user, tell)
            postgres = None if database_url else _postgres(root, chosen.postgres(), user, options)
            redis = None if redis_url is not None else _redis(root, chosen.redis(), user)
            for server in (postgres, redis):
                if server is not None:
                    undo.callback(_undisturbed, server.stop)
                    server.prepare()
                    server.start()
            stack = Stack(
                database_url or (postgres.url if postgres else ""),
                redis_url or (redis.url if redis else ""),
                postgres,
                redis,
            )
            undo.enter_context(_announced(root, stack))
        yield stack


def running_urls(root: Path) -> StackUrls | None:
    """Where the servers of the stack running at `root` are, for another process of its user; else None."""
    root = root.absolute()
    if _owner(root) is None:
        return None
    try:
        facts = json.loads(_announcement(root).read_text())
    except FileNotFoundError:
        return None  # it is just starting or stopping
    return StackUrls(facts["database_url"], facts["redis_url"])


def stop_stack(root: Path) -> None:
    """Stop the stack at `root`, whoever runs it, and what a killed owner left behind; raises StackProblem."""
    root = root.absolute()
    if not root.exists():
        return
    with _files_explained(root):
        owner = _owner(root)
        if owner == 0:
            raise StackProblem(
                f"The stack at {root} is just starting. Nothing was changed. What to do: try again in a moment."
            )
        if owner is not None:
            with suppress(ProcessLookupError):
                os.kill(owner, signal.SIGTERM)
            if not wait_until(lambda: _owner(root) is None, _STOP_SECONDS):
                raise StackProblem(
                    f"The stack at {root} did not stop within {_STOP_SECONDS} seconds (process {owner}). Its "
                    f"data is safe. What to do: `kill -9 {owner}`, then stop again."
                )
        with owned(root):
            user = server_user(root)
            end_left_over(mark_of_postgres(_folder(root, "postgres", user)), Postgres.endings)
            end_left_over(mark_of_redis(_folder(root, "redis", user)), Redis.endings)
            _announcement(root).unlink(missing_ok=True)


@contextmanager
def owned(root: Path) -> Iterator[None]:
    """Hold the stack at `root` for this process: nobody starts it meanwhile. Raises StackProblem."""
    open_folder(root)
    descriptor = os.open(_lock(root), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        keep_theirs(_lock(root))
        # Somebody who only looks whether it is held has it for a moment too.
        if not wait_until(lambda: _locked(descriptor), _LOOK_SECONDS):
            raise StackProblem(
                f"The stack at {root} is already running (process {_owner(root) or 'unknown'}). Nothing was "
                "changed. What to do: use that one, or stop it first with Ctrl-C in its terminal or `kill` "
                "and that number."
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _postgres(
    root: Path, found: programs.PostgresPrograms, user: ServerUser | None, options: Sequence[str]
) -> Postgres:
    folder = folder_for(_folder(root, "postgres", user), user)
    log = Log(root / "log/postgres.log")
    return Postgres(found, folder, log, root / "postgres.password", user, options=options)


def _redis(root: Path, found: programs.RedisProgram, user: ServerUser | None) -> Redis:
    return Redis(found, folder_for(_folder(root, "redis", user), user), Log(root / "log/redis.log"), user)


def _folder(root: Path, server: str, user: ServerUser | None) -> Path:
    return reachable(root, user) / server


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(root: Path) -> int | None:
    """The process that holds the stack at `root`; 0 while it has not written its number yet."""
    try:
        with _lock(root).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                number = lock.read().strip()
                return int(number) if number else 0
    except FileNotFoundError:
        pass
    return None


@contextmanager
def _announced(root: Path, stack: Stack) -> Iterator[None]:
    """While the stack runs, its URLs stand in a file that only its user can read."""
    file = _announcement(root)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump({"database_url": stack.database_url, "redis_url": stack.redis_url}, out)
    keep_theirs(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that what was started is stopped on the way out."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _undisturbed(stop: Callable[[], None]) -> None:
    """Stop without being cut short by an impatient second Ctrl-C; each step of stopping has its limit."""
    if threading.current_thread() is not threading.main_thread():
        stop()
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _files_explained(root: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StackProblem(
            f"{error.filename or root} belongs to another user, perhaps from a start with sudo. Nothing was "
            f"changed. What to do: start as that user, or `sudo chown -R $USER {root}`, then start again."
        ) from error


def _lock(root: Path) -> Path:
    return root / "lock"


def _announcement(root: Path) -> Path:
    return root / "stack.json"
