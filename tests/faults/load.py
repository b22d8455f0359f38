"""An evening's work over HTTP: needs posted and withdrawn, holds answered, offers paused and made smaller.

What is asked is drawn from a seed. Whatever gets no answer is asked again under the same idempotency key until its
caller knows; every call and every answer is in the history.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from tests.api.bodies import need_body
from tests.builders import TONIGHT, tonight
from tests.faults.history import Call, History
from tests.faults.house import House
from tests.places import BRIANCON, MONTGENEVRE

__all__ = ["Load", "under_load"]

_MOST_LIVING = 80
"""Needs that wait or are placed at a time: who came before goes away."""
_AGAIN_SECONDS = 0.1
_PATIENCE_SECONDS = 30.0
_ANSWERS = {
    "held": (("confirm", None), ("confirm", None), ("decline", "full")),
    "confirmed": (("arrive", None), ("release", "moved_on"), ("decline", "closed")),
    "arrived": (("release", "moved_on"),),
}
"""What is said to an allocation in each state, and why."""
Actor = Callable[[Random], Awaitable[None]]


class Load:
    """Clients of one house, each doing one thing after the other until told to stop."""

    def __init__(self, house: House, history: History, seed: str, url: str | None = None) -> None:
        """`url` is where the API is asked, where that is not the house's own."""
        self._house = house
        self._history = history
        self._seed = seed
        self._url = url or house.url
        self._stopping = asyncio.Event()
        self._living: list[str] = []
        self._done: set[tuple[str, str]] = set()
        self.clients: dict[str, httpx.AsyncClient] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Load"]:
        """With connections of its own, for as long as the block runs."""
        for who, joined in (
            ("coordination", self._house.furnished.coordination),
            ("town hall", self._house.furnished.town_hall),
        ):
            self.clients[who] = httpx.AsyncClient(
                base_url=self._url,
                headers={"Authorization": f"Bearer {joined.key}"},
                timeout=_PATIENCE_SECONDS,
                trust_env=False,
            )
        try:
            yield self
        finally:
            await asyncio.gather(*(client.aclose() for client in self.clients.values()))

    async def run(self) -> None:
        """Work until `stop`; every call that was begun is then brought to its end."""
        actors: Sequence[Actor] = (self._post, self._post, self._answer, self._answer, self._keep)
        async with asyncio.TaskGroup() as group:
            for number, actor in enumerate(actors):
                group.create_task(self._go_on(actor, Random(f"{self._seed}/{number}")))

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    async def post_need(self, body: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Call:
        """Post one need, as the coordination."""
        return await self.act("coordination", "post", "/v1/needs", body, headers)

    async def act(
        self,
        who: str,
        act: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = {},
    ) -> Call:
        """Make one call until it is known what became of it."""
        key = None if act == "capacity" else uuid4().hex
        call = self._history.sends(who, act, path, key, body)
        await self.go_on_with(call, headers)
        return call

    async def go_on_with(self, call: Call, headers: Mapping[str, str] = {}) -> None:
        """Ask until it is known what became of a call."""
        method = "PATCH" if call.act == "capacity" else "POST"
        given = {**headers, **({"Idempotency-Key": call.key} if call.key else {})}
        while True:
            status, answer = await self._attempt(call.who, method, call.path, given, call.body)
            if self._history.answered(call, status, answer).known:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def look(self, who: str, path: str) -> list[dict[str, Any]]:
        """The items of a list; none where it cannot be had now."""
        try:
            answer = await self.clients[who].get(path)
            return list(answer.json()["items"]) if answer.is_success else []
        except httpx.TransportError:
            return []

    async def _attempt(
        self, who: str, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int | None, Mapping[str, Any]]:
        try:
            answer = await self.clients[who].request(method, path, json=body, headers=dict(headers))
        except httpx.TransportError as error:
            return None, {"error": type(error).__name__}
        if "json" not in answer.headers.get("Content-Type", ""):
            return answer.status_code, {"error": "no JSON"}
        return answer.status_code, answer.json()

    async def _go_on(self, actor: Actor, chance: Random) -> None:
        while not self._stopping.is_set():
            await actor(chance)
            await asyncio.sleep(chance.uniform(0.02, 0.25))

    async def _post(self, chance: Random) -> None:
        waits = {"Prefer": "wait=2"} if chance.random() < 0.2 else {}
        posted = await self.post_need(_a_need(chance), waits)
        if posted.acknowledged:
            self._living.append(str(posted.answer["id"]))
        if len(self._living) > _MOST_LIVING or chance.random() < 0.1:
            leaving = self._living.pop(chance.randrange(len(self._living)))
            await self.act("coordination", "withdraw", f"/v1/needs/{leaving}/withdraw")

    async def _answer(self, chance: Random) -> None:
        (state,) = chance.choices(("held", "confirmed", "arrived"), (6, 3, 1))
        act, reason = chance.choice(_ANSWERS[state])
        body = {"reason": reason} if reason else None
        found = await self.look("town hall", f"/v1/allocations?state={state}&limit=50")
        new = [one["id"] for one in found if (act, one["id"]) not in self._done]
        if new:
            chosen = chance.choice(new)
            self._done.add((act, chosen))
            await self.act("town hall", act, f"/v1/allocations/{chosen}/{act}", body)

    async def _keep(self, chance: Random) -> None:
        offer = chance.choice(self._house.furnished.offers)
        if chance.random() < 0.5:
            await self.act("town hall", "pause", f"/v1/offers/{offer}/pause")
            await self.act("town hall", "resume", f"/v1/offers/{offer}/resume")
            return
        slots = await self.look("town hall", f"/v1/offers/{offer}/slots?limit=200")
        if slots:
            slot = chance.choice(slots)
            path = f"/v1/offers/{offer}/slots/{slot['id']}"
            body = {"capacity": chance.randint(max(1, slot["used"]), 14)}
            await self.act("town hall", "capacity", path, body, {"If-Match": f'"{slot["version"]}"'})


@asynccontextmanager
async def under_load(house: House, history: History, seed: str, url: str | None = None) -> AsyncIterator[Load]:
    """While the block runs, people work; at its end each of their calls is known."""
    async with Load(house, history, seed, url).connected() as load:
        running = asyncio.create_task(load.run())
        try:
            yield load
        finally:
            load.stop()
            await running


def _a_need(chance: Random) -> dict[str, object]:
    people = {"adults": chance.randint(1, 3), "minors": chance.randint(0, 2)}
    terms: dict[str, object] = {
        "town": chance.choice((BRIANCON, MONTGENEVRE)).id,
        "people": people,
        "urgency": chance.choice(("vital", "high", "normal")),
        # Nobody provides it: such a need stays open, and is looked at again and again.
        "requires": ["pets"] if chance.random() < 0.1 else [],
    }
    if chance.random() < 0.4:
        begins = datetime.now(UTC) + timedelta(minutes=5)
        window = {"from": begins.isoformat(), "until": (begins + timedelta(hours=6)).isoformat()}
        return need_body(category="sanitation", **terms, **window)
    first = chance.randint(0, 5)
    starts, ends = tonight(chance.randint(1, 2), first=TONIGHT + timedelta(days=first))
    return need_body(**terms, **{"from": starts.isoformat(), "until": ends.isoformat()})
