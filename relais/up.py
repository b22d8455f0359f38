"""The whole house on one machine: servers, schema, towns, API and worker, started in order and stopped backwards.

`relais up` serves it as it is; the demonstration opens the same house and fills it.
"""

import asyncio
import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from db.connection import connect
from db.migrations import upgrade
from db.settings import Settings
from relais import gazetteer, running
from relais.account import Account
from relais.embedded import running_stack
from relais.embedded.users import open_folder
from relais.processes import ProcessProblem, Processes, choose_port, ended_by_signals, running_processes

__all__ = ["House", "HouseSettings", "open_house", "up", "write_private"]


class HouseSettings(BaseSettings):
    """What `relais up` and `relais demo` read beside the settings of all; what is not set is made under `.relais/`."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore")

    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of the API; the first free one from 8000 on when not set."
    )
    database_url: str | None = Field(default=None, description="Database to use; one is started when not set.")
    redis_url: str | None = Field(default=None, description="Redis to use; one is started when not set.")
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


@contextmanager
def open_house(root: Path, account: Account, countries: Sequence[str] | None) -> Iterator[House]:
    """Everything that serves, for as long as the block runs; nothing of it runs on after it.

    `root` holds what is kept; `countries` are those whose towns are loaded, the usual ones when None. While the
    block runs, SIGTERM and SIGHUP end it like Ctrl-C. Raises `StackProblem`.
    """
    root = root.absolute()
    asked = HouseSettings()
    with ended_by_signals(), _alone(root):
        port = choose_port(asked.port)
        account.say("Starting PostgreSQL with PostGIS, and Redis…")
        with running_stack(
            root, tell=account.say, database_url=asked.database_url, redis_url=asked.redis_url
        ) as stack:
            settings = Settings(
                database_url=stack.database_url,
                redis_url=stack.redis_url,
                secret_file=asked.secret_file or _kept(root / "secrets" / "secret", secrets.token_bytes(64)),
                address_key_file=asked.address_key_file
                or _kept(root / "secrets" / "address-key", base64.b64encode(secrets.token_bytes(32))),
            )
            asyncio.run(_furnish(settings, account, countries))
            account.say("Starting the API and the worker…")
            with running_processes(port, _variables(settings), root / "log") as processes:
                yield House(root, settings, processes)
    account.say("Stopped. What was acknowledged is kept for the next start.")
