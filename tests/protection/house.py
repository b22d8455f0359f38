"""A house of its own: PostgreSQL, Redis, API and worker as they are served, with all that they keep in one folder."""

import asyncio
import base64
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from db.connection import connect, transaction
from db.migrations import upgrade
from db.settings import Settings
from relais.embedded import running_stack
from relais.embedded.ports import free_port
from relais.embedded.users import reachable, server_user
from relais.processes import running_processes
from tests.conftest import QUICK, ROOT, environment_of
from tests.places import add_towns
from tests.protection.remains import tell_all

__all__ = ["OwnHouse", "own_house"]


@dataclass(frozen=True)
class OwnHouse:
    """A running house; `log` is the folder of everybody's logs."""

    settings: Settings
    redis_url: str
    url: str
    log: Path
    figures: str
    """Where the API shows its figures."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which commands find it."""
        return environment_of(self.settings)


@contextmanager
def own_house(**environment: str) -> Iterator[OwnHouse]:
    """Serve one for as long as the block runs, with these `RELAIS_…` settings of the API; nothing of it stays."""
    root = ROOT / ".relais" / f"planted-{uuid4().hex[:8]}"
    try:
        with running_stack(root, tell=print, options=QUICK) as stack:
            settings = Settings(
                database_url=stack.database_url,
                redis_url=stack.redis_url,
                secret_file=root / "secret",
                address_key_file=root / "address-key",
            )
            settings.secret_file.write_bytes(secrets.token_bytes(64))
            settings.address_key_file.write_bytes(base64.b64encode(secrets.token_bytes(32)))
            asyncio.run(tell_all(stack.redis_url))
            asyncio.run(_furnish(settings))
            variables = environment_of(settings) | {"RELAIS_METRICS_PORT": str(free_port())} | environment
            with running_processes(free_port(), variables, root / "log") as processes:
                figures = f"http://127.0.0.1:{variables['RELAIS_METRICS_PORT']}/metrics"
                yield OwnHouse(settings, stack.redis_url, processes.url, root / "log", figures)
    finally:
        # Where the project lies under a folder that only root may enter, the servers keep their files elsewhere.
        for folder in {root, reachable(root, server_user(root.parent))}:
            shutil.rmtree(folder, ignore_errors=True)


async def _furnish(settings: Settings) -> None:
    engine = connect(settings, "test")
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
        # What is written, and where, stays the same; nobody waits for the disk.
        await tx.execute(text("alter database relais set synchronous_commit = off"))
    await engine.dispose()
