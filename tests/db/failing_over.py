"""People who post and confirm while a database fails over, and the history of what was acknowledged to them."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import httpx

from db import keys, organizations
from db.connection import connect, transaction
from db.migrations import upgrade
from db.reaching import open_plain
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.api.bodies import need_body
from tests.builders import add_offer
from tests.db.pair import Pair
from tests.places import BRIANCON, add_towns
from tests.waiting import eventually

__all__ = [
    "AN_EVENING",
    "History",
    "Keys",
    "Paired",
    "acting",
    "furnish",
    "lost",
    "more_than",
    "settings_of",
    "so_many_more",
]

AN_EVENING = {"RELAIS_POOL_SIZE": "4", "RELAIS_POLL_SECONDS": "0.3", "RELAIS_KEY_REQUESTS_PER_MINUTE": "1000000"}
"""Settings of the API and the worker for it."""
_AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Keys:
    """Of who posts and of who confirms."""

    poster: str
    provider: str


@dataclass(frozen=True)
class Paired:
    """A pair with a town's house on it."""

    pair: Pair
    settings: Settings
    keys: Keys


class History:
    """What was acknowledged, a line each, written before anything else is done; and how often it was refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: dict[int, int] = {}
        self._moments: list[float] = []

    def acknowledged(self, act: str, thing: str) -> None:
        """Write down that an act on a thing was acknowledged."""
        with self.path.open("a") as file:
            file.write(json.dumps({"act": act, "id": thing}) + "\n")
        self._moments.append(monotonic())

    def longest_silence(self, since: float) -> float:
        """Seconds between two acts that were acknowledged one after the other, at most, since a moment of the clock."""
        moments = [each for each in self._moments if each >= since]
        return max((after - before for before, after in pairwise(moments)), default=0.0)

    def refuses(self, answer: httpx.Response) -> None:
        """Count an answer that acknowledges nothing; one that asks to come again says when."""
        assert answer.status_code < 500 or "Retry-After" in answer.headers, answer.text
        self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1

    def of(self, act: str) -> set[UUID]:
        """The things on which an act was acknowledged."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {UUID(line["id"]) for line in map(json.loads, lines) if line["act"] == act}

    @property
    def length(self) -> int:
        """How many acts were acknowledged."""
        return len(self.of("post")) + len(self.of("confirm"))


def settings_of(database_url: str, folder: Path) -> Settings:
    """Settings of a house on this database, with secrets of its own in a folder."""
    (folder / "secret").write_bytes(secrets.token_bytes(64))
    (folder / "address-key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
    return Settings(
        database_url=database_url,
        redis_url=None,
        secret_file=folder / "secret",
        address_key_file=folder / "address-key",
        pool_size=4,
    )


async def furnish(settings: Settings) -> Keys:
    """The schema, and a town with a poster and a provider of many beds."""
    engine = connect(settings, "test")
    await upgrade(engine)
    async with transaction(engine) as tx:
        await add_towns(tx)
        joined = []
        for kind in (OrganizationKind.COORDINATION, OrganizationKind.MUNICIPALITY):
            organization_id = await organizations.add(tx, kind, f"A {kind}", [BRIANCON.id])
            issued = await keys.issue(tx, organization_id, settings.keys().of("api-key"))
            joined.append((organization_id, issued.text))
        await add_offer(tx, joined[1][0], capacity=100_000)
    await engine.dispose()
    return Keys(joined[0][1], joined[1][1])


@asynccontextmanager
async def acting(house: Keys, url: str, history: History) -> AsyncIterator[None]:
    """Two who post and two who confirm, one act after the other, for as long as the block runs."""

    async def go_on(act: Callable[[httpx.AsyncClient, History], Awaitable[None]], key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            while True:
                await act(http, history)
                await asyncio.sleep(_AGAIN_SECONDS)

    acts = [(_post, house.poster)] * 2 + [(_confirm, house.provider)] * 2
    people = [asyncio.create_task(go_on(*each)) for each in acts]
    try:
        yield
    finally:
        for each in people:
            each.cancel()
        for ended in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _post(http: httpx.AsyncClient, history: History) -> None:
    answer = await _insist(http, "/v1/needs", need_body(people={"adults": 1, "minors": 0}), history)
    history.acknowledged("post", answer["id"])


async def _confirm(http: httpx.AsyncClient, history: History) -> None:
    found = await http.get("/v1/allocations?state=held&limit=50")
    if not found.is_success:
        history.refuses(found)
    elif held := found.json()["items"]:
        allocation = secrets.choice(held)["id"]
        await _insist(http, f"/v1/allocations/{allocation}/confirm", None, history)
        history.acknowledged("confirm", allocation)


async def _insist(
    http: httpx.AsyncClient, path: str, body: dict[str, object] | None, history: History
) -> dict[str, str]:
    """Ask under one idempotency key until it is known what became of it. Another one may have confirmed before."""
    headers = {"Idempotency-Key": uuid4().hex}
    while True:
        answer = await http.post(path, json=body, headers=headers)
        if answer.is_success:
            return dict(answer.json())
        running = answer.status_code == httpx.codes.CONFLICT and answer.json()["type"].endswith("in-progress")
        if not running:
            history.refuses(answer)
        await asyncio.sleep(_AGAIN_SECONDS)


async def so_many_more(history: History, more: int) -> None:
    """Wait until so many more of each act were acknowledged."""
    posts, confirms = len(history.of("post")) + more, len(history.of("confirm")) + more

    async def acknowledged() -> bool:
        return len(history.of("post")) >= posts and len(history.of("confirm")) >= confirms

    await eventually(acknowledged, f"{more} more of each act acknowledged")


async def more_than(history: History, before: int) -> None:
    """Wait until more acts were acknowledged than before."""

    async def acknowledged() -> bool:
        return history.length > before

    await eventually(acknowledged, "acknowledged again")


async def lost(database_url: str, history: History) -> list[str]:
    """What was acknowledged and is not there, on the server that takes writes."""
    connection = await open_plain(database_url)
    try:
        posted = {row["id"] for row in await connection.fetch("select id from need")}
        confirmed = {row["id"] for row in await connection.fetch("select id from allocation where state = 'confirmed'")}
    finally:
        await connection.close()
    return [f"need {each}" for each in history.of("post") - posted] + [
        f"confirmation of {each}" for each in history.of("confirm") - confirmed
    ]
