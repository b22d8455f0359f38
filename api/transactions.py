"""One request, one transaction: a route acts, answers and commits before a byte is sent.

Whatever fails or is cancelled in between is rolled back whole. What must wait for the commit, such as the doorbell,
is told to the `Reply` and done after it.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from api import idempotency
from api.bodies import Incoming
from api.house import House, house_of
from api.problems import Unauthenticated
from api.reading import StrictRoute
from db import audit
from db.audit import Actor
from db.connection import snapshot, transaction
from db.idempotency import Ticket
from db.roles import act_for
from matching.refusals import NotFound

__all__ = ["Answer", "LateRoute", "Reply", "TransactionalRoute", "Turn", "Tx", "turn_of"]

_log = structlog.get_logger()
_ONLY_READ = ("GET", "HEAD")


class Answer:
    """What goes with a route's answer beside its body: headers, and what happens after the commit."""

    def __init__(self, house: House) -> None:
        self.headers: dict[str, str] = {}
        self.codes: list[UUID] = []
        self.withheld: list[str] = []
        self._house = house
        self._after: list[Callable[[], None]] = []
        self._later: Callable[[], Awaitable[BaseModel | None]] | None = None

    def created(self, path: str, version: int | None = None) -> None:
        """Something new is to be found at this path."""
        self.headers["Location"] = path
        if version is not None:
            self.version(version)

    def version(self, version: int) -> None:
        """The version of the object in the answer."""
        self.headers["ETag"] = f'"{version}"'

    def code(self, need_id: UUID) -> str:
        """The slip code of a need, to be shown in this answer; it is derived again when the answer is."""
        self.codes.append(need_id)
        return self.withhold(self._house.withheld.code(need_id))

    def withhold(self, name: str) -> str:
        """A text to be shown in this answer, by the name under which it is found again; it is not stored with it."""
        self.withheld.append(name)
        return self._house.withheld.text(name)

    def ring(self) -> None:
        """There is work to look at, once this is committed."""
        self.afterwards(self._house.bell.work)

    def afterwards(self, act: Callable[[], None]) -> None:
        """Do this after the commit; it must not fail or block."""
        if act not in self._after:
            self._after.append(act)

    def later(self, read: Callable[[], Awaitable[BaseModel | None]]) -> None:
        """After the commit, answer with what this returns instead; with `None`, or when it fails, as before."""
        self._later = read

    async def finish(self, response: Response) -> Response:
        """Do what waited for the commit; the response to send."""
        for act in self._after:
            act()
        if self._later is None:
            return response
        try:
            model = await self._later()
        except Exception as error:  # noqa: BLE001 - the act is done and its answer is true: it must reach the caller
            _log.warning("reply.not_later", exception=type(error).__name__)
            return response
        if model is None:
            return response
        return Response(
            model.model_dump_json(by_alias=True), response.status_code, self.headers, media_type="application/json"
        )


@dataclass
class Turn:
    """One request's turn: its transaction, its reply, and the right to act under its idempotency key."""

    house: House
    tx: AsyncConnection
    raw: bytes
    reply: Answer
    ticket: Ticket | None = field(default=None)
    actor: Actor | None = field(default=None)


def turn_of(request: Request) -> Turn:
    """The turn of a request."""
    turn: Turn = request.state.turn
    return turn


async def _tx(request: Request) -> AsyncConnection:
    return turn_of(request).tx


async def _reply(request: Request) -> Answer:
    return turn_of(request).reply


Tx = Annotated[AsyncConnection, Depends(_tx)]
"""The request's transaction, in a route's signature."""
Reply = Annotated[Answer, Depends(_reply)]
"""The request's reply, in a route's signature."""


class TransactionalRoute(StrictRoute):
    """A route that runs in one transaction and honours `Idempotency-Key`."""

    async def answered(self, request: Incoming, act: Callable[[Incoming], Coroutine[Any, Any, Response]]) -> Response:
        """The answer of the route's act, once it is committed."""
        house = house_of(request)
        within = snapshot if request.method in _ONLY_READ else transaction
        return await _in_one_transaction(request, act, within(house.engine))


class LateRoute(TransactionalRoute):
    """A route that only reads what may be some seconds old: from a follower, where there is one that keeps up.

    Whatever a follower cannot answer, or finds not there, the server that leads is asked as for any other route.
    """

    async def answered(self, request: Incoming, act: Callable[[Incoming], Coroutine[Any, Any, Response]]) -> Response:
        """The answer of the route's act."""
        late = house_of(request).late
        if late is not None:
            try:
                return await _in_one_transaction(request, act, late.snapshot())
            except (NotFound, Unauthenticated):
                # Perhaps it is only not there yet.
                pass
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                await late.rest(error)
        return await super().answered(request, act)


async def _in_one_transaction(
    request: Incoming,
    act: Callable[[Incoming], Coroutine[Any, Any, Response]],
    within: AbstractAsyncContextManager[AsyncConnection],
) -> Response:
    house = house_of(request)
    reply = Answer(house)
    try:
        async with within as tx:
            turn = Turn(house, tx, request.raw, reply)
            request.state.turn = turn
            response = await act(request)
            response.headers.update(reply.headers)
            if turn.ticket is not None:
                await idempotency.keep(turn.tx, turn.ticket, response, reply.withheld, house.withheld)
            if turn.actor is not None and request.method not in _ONLY_READ:
                await audit.append(tx, turn.actor, _act_of(request), _objects_of(request, reply))
    except idempotency.AnsweredBefore as before:
        return idempotency.again(before.stored, house.withheld)
    fuller = await reply.finish(response)
    if fuller is not response and turn.ticket is not None:
        await _amend(house, turn.ticket, fuller, reply)
    return fuller


def _act_of(request: Incoming) -> str:
    """What was done, as the API names it: never with an id or a value in it."""
    return f"{request.method} {request.scope['route'].path_format}"


def _objects_of(request: Incoming, reply: Answer) -> list[UUID]:
    """What it was done to: the ids in the path, then what was made."""
    named = [*request.path_params.values(), reply.headers.get("Location", "").rpartition("/")[2]]
    ids = [found for found in map(_id, map(str, named)) if found is not None]
    return list(dict.fromkeys([*ids, *reply.codes]))


def _id(written: str) -> UUID | None:
    """The id that a route reads in this, in any of the forms that it takes: with braces, as a URN, without dashes."""
    try:
        return UUID(written)
    except ValueError:
        return None


async def _amend(house: House, ticket: Ticket, response: Response, reply: Answer) -> None:
    """Let a repeated request get the fuller answer; without it, it gets the first, which is true as well."""
    try:
        async with transaction(house.engine) as tx:
            await act_for(tx, ticket.organization_id)
            await idempotency.amend(tx, ticket, response, reply.withheld, house.withheld)
    except Exception as error:  # noqa: BLE001 - the answer at hand is not to be lost for the stored one
        _log.warning("reply.not_amended", exception=type(error).__name__)
