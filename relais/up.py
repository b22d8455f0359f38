"""The whole house on one machine: servers, schema, towns, API and worker, started in order and stopped backwards.

`relais up` serves it as it is; the demonstration opens the same house and fills it.
"""

import asyncio
import base64
import fcntl
import os
import secrets
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from alembic.util import CommandError
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from db import tombstones, towns
from db.connection import connect, transaction
from db.environment import WrongSettings, read
from db.migrations import LockedOut, upgrade
from db.settings import Settings
from relais.account import Account
from relais.embedded import StackProblem, running_stack, stop_stack
from relais.embedded.processes import wait_until
from relais.embedded.users import keep_theirs, open_folder
from relais.gazetteer import DEFAULT_COUNTRIES, load_countries
from relais.processes import Processes, ProcessProblem, choose_port, ended_by_signals, running_processes
from relais.running import ROOT, announced
from relais.supervision import Supervision

__all__ = [
    "House",
    "HouseSettings",
    "end_house",
    "in_words",
    "kept",
    "open_house",
    "serve",
    "stop",
    "up",
    "write_private",
]

_STOPPED = "Stopped. What was acknowledged is kept for the next start."
_STOP_SECONDS = 60


class HouseSettings(BaseSettings):
    """What `relais up` and `relais demo` read; what is not set they start or make under `.relais/`."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of the API; the first free one from 8000 on when not set."
    )
    database_url: str | None = Field(
        default=None, description="postgresql+asyncpg:// address of the database to use; one is started when not set."
    )
    redis_url: str | None = Field(
        default=None,
        description="redis:// address of the Redis to use; one is started when not set, and none when empty.",
    )
    secret_file: Path | None = Field(default=None, description="Secret file to use; one is made when not set.")
    address_key_file: Path | None = Field(
        default=None, description="Address key file to use; one is made when not set."
    )


@dataclass(frozen=True)
class House:
    """The running house: where it keeps its files, how to reach its database, and its processes."""

    root: Path
    settings: Settings
    processes: Processes
    supervision: Supervision


@contextmanager
def open_house(root: Path, account: Account, countries: Collection[str]) -> Iterator[House]:
    """Everything that serves, for as long as the block runs; nothing of it runs on after it.

    `root` holds what is kept; `countries` are those whose towns are loaded. While the block
    runs, SIGTERM and SIGHUP end it like Ctrl-C. Raises `StackProblem`.
    """
    root = root.absolute()
    asked = read(HouseSettings)
    with ended_by_signals(), _alone(root) as tell_where:
        port = choose_port(asked.port)
        with running_stack(root, tell=account.say, database_url=asked.database_url, redis_url=asked.redis_url) as stack:
            settings = Settings(
                database_url=stack.database_url,
                redis_url=stack.redis_url,
                secret_file=asked.secret_file or kept(root / "secrets" / "secret", secrets.token_bytes(64)),
                address_key_file=asked.address_key_file
                or kept(root / "secrets" / "address-key", base64.b64encode(secrets.token_bytes(32))),
            )
            _furnish(settings, account, countries)
            with running_processes(port, _variables(settings), root / "log") as processes:
                tell_where(processes.url)
                with announced(settings, root):
                    servers = [server for server in (stack.postgres, stack.redis) if server is not None]
                    yield House(root, settings, processes, Supervision([*servers, *processes.children], account.say))


@contextmanager
def in_words(account: Account) -> Iterator[None]:
    """End the command that runs in the block: what goes wrong and how it ended are told, not traced."""
    try:
        yield
    except StackProblem as problem:
        account.say(str(problem))
        raise SystemExit(1) from None
    except WrongSettings as problem:
        account.say(str(problem))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        account.say(_STOPPED)
        raise SystemExit(128 + signal.SIGINT) from None
    except SystemExit:
        account.say(_STOPPED)
        raise


def up() -> None:
    """Serve Relais on this machine: its own PostgreSQL and Redis, the API and the worker, until it is stopped."""
    account = Account(Console())
    with in_words(account):
        serve(ROOT, account)


def serve(root: Path, account: Account, countries: Collection[str] = DEFAULT_COUNTRIES) -> None:
    """Serve the house at `root` until a signal ends it. Raises `StackProblem` when something ends again and again."""
    with open_house(root, account, countries) as house:
        account.title(f"Relais serves at {house.processes.url} until you press Ctrl-C.")
        account.say("Let somebody take part, from another terminal (3030142 is Briançon's GeoNames number):")
        account.command('.venv/bin/relais org add --kind municipality --town 3030142 "Town hall of Briançon"')
        house.supervision.watch()


def stop() -> None:
    """Stop the Relais that runs here, and whatever one that was killed left running."""
    account = Account(Console())
    with in_words(account):
        end_house(ROOT)
    account.say("Nothing of Relais is running here now.")


def end_house(root: Path) -> None:
    """Ask the house at `root` to stop, whoever runs it, and end what it left. Raises `StackProblem`."""
    owner = _owner(root)
    if owner is not None:
        with suppress(ProcessLookupError):
            os.kill(owner, signal.SIGTERM)
        if not wait_until(lambda: _owner(root) is None, _STOP_SECONDS):
            raise ProcessProblem(
                f"Relais did not stop within {_STOP_SECONDS} seconds (process {owner}). What was acknowledged is "
                f"safe. What to do: `kill -9 {owner}`, then `relais stop` again."
            )
    stop_stack(root)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    draft.replace(file)
    keep_theirs(file)


@contextmanager
def _alone(root: Path) -> Iterator[Callable[[str], None]]:
    """Hold the house at `root` for this process; what is yielded tells others where it serves."""
    open_folder(root)
    with _note(root).open("a+") as note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note.seek(0)
            where = note.read().partition(" ")[2]
            raise ProcessProblem(
                f"Relais is already running here{f', at {where}' if where else ''}. Nothing was started. What to do: "
                "use that one, or stop it first with Ctrl-C in its terminal or with `relais stop`."
            ) from None

        def tell(where: str) -> None:
            note.truncate(0)
            note.write(f"{os.getpid()} {where}")
            note.flush()

        tell("")
        yield tell


def _owner(root: Path) -> int | None:
    """The process that holds the house at `root`."""
    try:
        with _note(root).open() as note:
            try:
                fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                number = note.read().partition(" ")[0]
                if not number:
                    raise ProcessProblem(
                        "Relais is just starting here. Nothing was changed. What to do: try again in a moment."
                    ) from None
                return int(number)
    except FileNotFoundError:
        pass
    return None


def _note(root: Path) -> Path:
    return root / "house"


def _furnish(settings: Settings, account: Account, countries: Collection[str]) -> None:
    """Bring the schema up to date and load the towns that are missing, a country at a time."""

    async def furnish() -> None:
        engine = connect(settings, "up")
        try:
            await upgrade(engine)
            async with transaction(engine) as tx:
                await tombstones.reapply(tx, settings.keys().of("tombstone"))
                missing = sorted(set(countries) - await towns.loaded_countries(tx))
            for country in account.progress("Loading towns", missing):
                async with transaction(engine) as tx:
                    await load_countries(tx, [country])
        finally:
            await engine.dispose()

    try:
        asyncio.run(furnish())
    except CommandError as error:
        raise ProcessProblem(
            "The database was last used by another version of Relais, whose tables this one does not know. Nothing "
            "was changed. What to do: start that version, or a newer one."
        ) from error
    except (SQLAlchemyError, OSError, LockedOut) as error:
        raise ProcessProblem(
            f"The database cannot be prepared ({type(error).__name__}). What is in it is safe. What to do: where "
            "RELAIS_DATABASE_URL is set, see that it answers, that the user may create tables, and that PostGIS is "
            "installed there; then start again."
        ) from error


def _variables(settings: Settings) -> dict[str, str]:
    facts = settings.model_dump(include={"database_url", "redis_url", "secret_file", "address_key_file"})
    return {f"RELAIS_{name.upper()}": "" if value is None else str(value) for name, value in facts.items()}


def kept(file: Path, content: bytes) -> Path:
    """A secret's file, made with this content when it is not there yet."""
    if not file.exists():
        open_folder(file.parent).chmod(0o700)
        write_private(file, content)
        keep_theirs(file.parent)
    return file
