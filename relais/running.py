"""Where the running house is: how a second command finds the database of the first.

`relais up` and `relais demo` announce it in `.relais/run.json`, which only their user can read; a deployment names
it in the environment.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic_settings import BaseSettings, SettingsConfigDict

from db.environment import read
from db.settings import Settings

__all__ = ["ROOT", "NothingRuns", "announced", "settings"]

ROOT: Final = Path(__file__).parents[1] / ".relais"
"""Where the house keeps its files unless told otherwise."""
_FACTS: Final = ("database_url", "redis_url", "secret_file", "address_key_file")


class NothingRuns(Exception):  # noqa: N818 - it is told to people, not a fault of the program
    """No running Relais was found; the message says what to do."""


class _Environment(BaseSettings):
    """Whether the environment names a database."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    database_url: str | None = None


@contextmanager
def announced(found: Settings, root: Path = ROOT) -> Iterator[None]:
    """While the block runs, other commands of the same user find the house at `root`."""
    facts = {name: str(value) for name in _FACTS if (value := getattr(found, name)) is not None}
    file, draft = root / "run.json", root / f"run.json.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(facts, out)
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def settings(root: Path = ROOT) -> Settings:
    """Settings of the house that the environment names, else of the one that runs at `root`.

    What the house that runs does not tell of itself is read from the environment in both cases.
    Raises `NothingRuns` and `WrongSettings`.
    """
    if _Environment().database_url is not None:
        return read(Settings)
    try:
        return read(Settings, json.loads((root / "run.json").read_text()))
    except FileNotFoundError:
        raise NothingRuns(
            "No Relais is running here. Nothing was done. What to do: start it with `make demo` or `relais up` in "
            "another terminal, or set RELAIS_DATABASE_URL, RELAIS_SECRET_FILE and RELAIS_ADDRESS_KEY_FILE."
        ) from None
    except PermissionError:
        raise NothingRuns(
            f"The Relais that runs here belongs to another user ({root / 'run.json'} cannot be read). Nothing was "
            "done. What to do: run this command as that user."
        ) from None
