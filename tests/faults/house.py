"""A house under test: PostgreSQL, Redis, API and worker as they are served, each of which may be killed and started.

The programs are the embedded stack's own; here the test supervises them, so that it knows what was down and when.
"""

import asyncio
import base64
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from signal import SIGCONT, SIGKILL
from typing import Protocol
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from db import keys, organizations
from db.connection import connect, listening_address, transaction
from db.migrations import upgrade
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from relais.embedded.ports import LOOPBACK, free_port
from relais.embedded.postgres import Postgres
from relais.embedded.processes import Log
from relais.embedded.redis import Redis
from relais.embedded.users import open_folder, reachable, server_user
from relais.processes import Child
from tests.builders import add_offer
from tests.conftest import ROOT, environment_of
from tests.faults.servers import a_postgres, a_redis
from tests.places import BRIANCON, MONTGENEVRE, add_towns
from tests.waiting import eventually

__all__ = ["Furnished", "House", "Joined", "Member", "a_furnished_house", "a_house", "answers", "child_of", "end"]

_API = ("-m", "api")
_GIVEN = {"RELAIS_POOL_SIZE": "8", "RELAIS_KEY_REQUESTS_PER_MINUTE": "1000000"}


class Member(Protocol):
    """A process of the house."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int | None:
        """Its process, None while it does not run."""

    @property
    def log_file(self) -> str:
        """Where its last words are."""

    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""

    def start_again(self) -> None:
        """Start it where it was."""


@dataclass(frozen=True)
class Joined:
    """An organization of the house and its key."""

    id: UUID
    key: str


@dataclass(frozen=True)
class Furnished:
    """A house that is furnished and does not run: houses are copies of it. `root` has its cluster and its secrets."""

    root: Path
    cluster: Path
    coordination: Joined
    town_hall: Joined
    offers: tuple[UUID, ...]


@dataclass(frozen=True)
class House:
    """A running house; `dump` is the file where Redis keeps what it is told to, `cluster` PostgreSQL's folder."""

    root: Path
    settings: Settings
    postgres: Postgres
    cluster: Path
    redis: Redis
    dump: Path
    api: Child
    worker: Child
    port: int
    furnished: Furnished

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody, what others need first."""
        return (self.postgres, self.redis, self.api, self.worker)

    @property
    def log(self) -> Path:
        """The folder of everybody's logs."""
        return self.root / "log"

    async def look(self) -> asyncpg.Connection:
        """A plain connection of the operator's, to look from outside."""
        return await asyncpg.connect(listening_address(self.settings))


@contextmanager
def a_furnished_house() -> Iterator[Furnished]:
    """Make one; nothing of it stays after the block."""
    root = _new_root()
    with ExitStack() as undo:
        undo.callback(_remove, root)
        postgres, cluster = a_postgres(root)
        undo.callback(end, postgres)
        postgres.start()
        settings = _settings(root, postgres.url, None)
        settings.secret_file.write_bytes(secrets.token_bytes(64))
        settings.address_key_file.write_bytes(base64.b64encode(secrets.token_bytes(32)))
        coordination, town_hall, offers = asyncio.run(_furnish(settings))
        postgres.stop()
        yield Furnished(root, cluster, coordination, town_hall, offers)


@contextmanager
def a_house(
    furnished: Furnished,
    *,
    disk: Path | None = None,
    postgres_environment: Mapping[str, str] = {},
    database: Sequence[str] = (),
) -> Iterator[House]:
    """Serve one for as long as the block runs; nothing of it stays.

    `disk` is where PostgreSQL keeps its cluster; `database` are statements that are run there before anybody comes.
    """
    root = _new_root()
    with ExitStack() as undo:
        undo.callback(_remove, root)
        for file in ("secret", "address-key", "postgres.password"):
            shutil.copy(furnished.root / file, open_folder(root) / file)
        postgres, cluster = a_postgres(root, disk, postgres_environment, like=furnished.cluster)
        redis, dumps = a_redis(root)
        for server in (postgres, redis):
            undo.callback(end, server)
            server.start()
        settings = _settings(root, postgres.url, redis.url)
        port = free_port()
        api, worker = child_of(settings, root / "log/api.log", port=port), child_of(settings, root / "log/worker.log")
        house = House(root, settings, postgres, cluster, redis, dumps / "dump.rdb", api, worker, port, furnished)
        asyncio.run(_tell(house, database))
        for child in (api, worker):
            undo.callback(end, child)
            child.start()
        asyncio.run(eventually(lambda: answers(house.url), "the API is ready"))
        yield house


def child_of(
    settings: Settings,
    log: Path,
    *,
    port: int | None = None,
    program: Sequence[str] = _API,
    environment: Mapping[str, str] = {},
) -> Child:
    """An API at a port, or a worker where there is none, with these settings; not started yet.

    `program` is what Python is told to run as the API: a test may put a fault of its own into it.
    """
    given = {**environment_of(settings), **_GIVEN, **environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if port is None:
        return Child("The worker", ["-m", "worker"], given, Log(log))
    return Child("The API", [*program, "--host", LOOPBACK, "--port", str(port)], given, Log(log))


async def answers(url: str) -> bool:
    """Whether an API answers that it is ready."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        try:
            return (await http.get(f"{url}/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def end(member: Member) -> None:
    """End one for good, with all that it started, stopped or not."""
    pid = member.pid
    if pid is None:
        return
    # Each leads a session of its own; what PostgreSQL starts does too, and notices that it is gone.
    for sent in (SIGKILL, SIGCONT):
        try:
            os.killpg(pid, sent)
        except ProcessLookupError:
            break
    asyncio.run(eventually(lambda: _ended(member), f"{member.name} has ended"))


async def _ended(member: Member) -> bool:
    return member.ending() is not None


def _new_root() -> Path:
    return ROOT / ".relais" / f"faults-{uuid4().hex[:8]}"


def _settings(root: Path, database_url: str, redis_url: str | None) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_file=root / "secret",
        address_key_file=root / "address-key",
    )


def _remove(root: Path) -> None:
    for folder in {root, reachable(root, server_user(root.parent))}:
        shutil.rmtree(folder, ignore_errors=True)


async def _tell(house: House, statements: Sequence[str]) -> None:
    if statements:
        connection = await house.look()
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


async def _furnish(settings: Settings) -> tuple[Joined, Joined, tuple[UUID, ...]]:
    engine = connect(settings, "test")
    try:
        await upgrade(engine)
        async with transaction(engine) as tx:
            await add_towns(tx)
            hashing = settings.keys().of("api-key")
            coordination = await _join(tx, OrganizationKind.COORDINATION, hashing)
            town_hall = await _join(tx, OrganizationKind.MUNICIPALITY, hashing)
            return coordination, town_hall, await _open(tx, town_hall.id)
    finally:
        await engine.dispose()


async def _join(tx: AsyncConnection, kind: OrganizationKind, hashing: bytes) -> Joined:
    joined = await organizations.add(tx, kind, f"A {kind}", [BRIANCON.id])
    return Joined(joined, (await keys.issue(tx, joined, hashing)).text)


async def _open(tx: AsyncConnection, owner: UUID) -> tuple[UUID, ...]:
    """Few beds for many who ask, and showers all day long, at which somebody may arrive at any hour."""
    beds = [
        await add_offer(tx, owner, capacity=capacity, place=place, confirmation=confirmation)
        for capacity, place, confirmation in (
            (12, BRIANCON, "each"),
            (8, MONTGENEVRE, "each"),
            (6, BRIANCON, "standing"),
        )
    ]
    hours = {"first_day": _today(), "opens": time(0), "closes": time(23, 30), "slot_minutes": 30}
    return (*beds, await add_offer(tx, owner, category="sanitation", capacity=6, schedule=hours))


def _today() -> date:
    return datetime.now(UTC).astimezone(ZoneInfo(BRIANCON.timezone)).date()
