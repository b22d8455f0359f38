"""One request of somebody who is signed in: its session, one transaction, and what it needs to do an act.

As for the API, whatever fails is rolled back whole and each act is written down in the audit; the permission that a
page needs is a type in its signature. What is read is read of one moment.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse

from api.console.cookies import chosen_language, token_in
from api.console.forms import Form, read_form, read_form_with_file
from api.console.origins import Forged, refuse_strange_origin
from api.house import House, house_of
from api.idempotency import stored_name
from api.pace import Bucket, Rate
from api.problems import Forbidden, IdempotencyInProgress
from db import audit, idempotency, sessions
from db.audit import Actor
from db.connection import snapshot, transaction
from db.idempotency import Running, Ticket
from db.keys import Holder, Scope
from db.roles import act_for
from db.sessions import Session
from matching.refusals import Refusal

__all__ = [
    "NETWORK_SCOPES",
    "Answers",
    "ConsoleRoute",
    "FileRoute",
    "Marks",
    "Notifies",
    "Posts",
    "ReadsAddresses",
    "ReadsAwaiting",
    "ReadsBoard",
    "ReadsHouses",
    "ReadsNetwork",
    "ReadsPacts",
    "SignedIn",
    "SignedOut",
    "SignsPacts",
    "Visit",
    "WritesHouses",
    "form_token",
    "gone_to",
    "idle",
    "visit_of",
]

NETWORK_SCOPES: Final = frozenset({Scope.OFFERS_READ, Scope.NEEDS_READ})
"""With either of them there is something of one's own to see of the network."""
_PATIENCE: Final = 100
_MOMENT: Final = 0.05
"""Seconds, so often: a second tap waits for the first to be done rather than being told that it is."""


class SignedOut(Refusal):
    """There is no session, or it is over."""

    slug: ClassVar[str] = "unauthenticated"


@dataclass
class Visit:
    """A request with a session that lives."""

    house: House
    tx: AsyncConnection
    session: Session
    form: Form
    language: str
    path: str
    actor: Actor | None = None
    objects: list[UUID] = field(default_factory=list)
    noted: bool = False
    rings: bool = False

    @property
    def who(self) -> Holder:
        """The organization that asks, and what its key may do."""
        return self.session.holder

    @property
    def form_token(self) -> str:
        """What each form of this session carries."""
        return form_token(self.house, self.session)

    @property
    def whose(self) -> str:
        """What a browser may call this organization: what it keeps for one is not sent for another."""
        organization = self.who.organization_id.bytes
        return hmac.digest(self.house.form_hashing, b"kept" + organization, "sha256")[:8].hex()

    def note(self, *objects: UUID) -> None:
        """Write this request down in the audit, with what it was done to."""
        self.noted = True
        self.objects += objects

    def ring(self) -> None:
        """There is work to look at, once this is committed."""
        self.rings = True

    async def once(self, act: Callable[[], Awaitable[str]]) -> str:
        """Do what a form asks, where to go then; the same form with the same content acts once. Raises `Running`."""
        content = repr(sorted((name, values) for name, values in self.form.fields.items() if name != "token"))
        print_of_it = hmac.digest(self.house.request_hashing, f"{self.path}\n{content}".encode(), "sha256")
        name = stored_name(f"console {self.path} {print_of_it.hex()}", self.house.request_hashing)
        ticket = Ticket(self.who.organization_id, name, print_of_it)
        stored = await idempotency.claim(self.tx, ticket)
        if stored is not None:
            return stored.headers["Location"]
        there = await act()
        await idempotency.keep(self.tx, ticket, 303, {"Location": there}, b"")
        return there


def form_token(house: House, session: Session) -> str:
    """The token of a session's forms: nobody has it who has not read a page of this session."""
    return hmac.digest(house.form_hashing, session.id.bytes, "sha256")[:16].hex()


def visit_of(request: Request) -> Visit | None:
    """The visit of a request; none on pages that ask for no session."""
    visit: Visit | None = getattr(request.state, "visit", None)
    return visit


def gone_to(path: str) -> Response:
    """Go on there, by GET."""
    return RedirectResponse(path, 303)


def idle(house: House) -> timedelta:
    """After how long an unused session is over."""
    return timedelta(minutes=house.settings.session_idle_minutes)


class ConsoleRoute(APIRoute):
    """A route of a page that asks for a session."""

    async def form_of(self, request: Request) -> Form:
        """What came with a request of a session."""
        return await read_form(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, within a visit."""
        act = super().get_route_handler()
        read = self.form_of

        async def handle(request: Request) -> Response:
            if request.method == "POST":
                refuse_strange_origin(request)
            # Whole before a connection is taken; what is in it is looked at once there is a session.
            await request.body()
            for _ in range(_PATIENCE):
                try:
                    return await _visited(request, read, act)
                except Running:
                    await asyncio.sleep(_MOMENT)
            raise IdempotencyInProgress

        return handle


class FileRoute(ConsoleRoute):
    """The same where a form may bring a file: nowhere else is such a body read."""

    async def form_of(self, request: Request) -> Form:
        """The same, with its files."""
        return await read_form_with_file(request)


async def _visited(
    request: Request,
    read: Callable[[Request], Awaitable[Form]],
    act: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Response:
    house = house_of(request)
    acts = request.method == "POST"
    async with (transaction if acts else snapshot)(house.engine) as tx:
        session = await _session(request, house, tx)
        form = await read(request)
        visit = Visit(house, tx, session, form, chosen_language(request), request.scope["path"])
        request.state.visit = visit
        request.state.organization_id = visit.who.organization_id
        per_minute = Rate(house.settings.key_requests_per_minute, 60)
        await house.pace.take([Bucket(f"key:{visit.who.prefix}", per_minute)])
        if acts and not hmac.compare_digest(form.first("token").encode(), visit.form_token.encode()):
            raise Forged
        response = await act(request)
        if visit.actor is not None and visit.noted:
            name = f"{request.method} {request.scope['route'].path_format}"
            await audit.append(tx, visit.actor, name, list(dict.fromkeys(visit.objects)))
    if visit.rings:
        house.bell.work()
    if "again" not in request.query_params and not response.headers.get("content-type", "").startswith("text/event"):
        await _used(house, visit.session)
    return response


async def _session(request: Request, house: House, tx: AsyncConnection) -> Session:
    token = token_in(request, house.settings)
    session = await sessions.found(tx, token, house.session_hashing, idle(house)) if token else None
    if session is None:
        raise SignedOut
    return session


async def _used(house: House, session: Session) -> None:
    """A page that somebody asked for, not one that asks by itself, keeps the session alive."""
    async with transaction(house.engine) as tx:
        await act_for(tx, session.holder.organization_id)
        await sessions.use(tx, session)


async def _visit(request: Request) -> Visit:
    visit = visit_of(request)
    if visit is None:
        raise SignedOut
    return visit


class _With:
    """The permission that any of these scopes gives; the audit names the first that the key has."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, visit: Annotated[Visit, Depends(_visit)]) -> Visit:
        held = next((scope for scope in self.scopes if scope in visit.who.scopes), None)
        if held is None:
            raise Forbidden
        visit.actor = Actor(visit.who.organization_id, visit.who.kind, held)
        return visit


async def _signed_in(visit: Annotated[Visit, Depends(_visit)]) -> Visit:
    visit.actor = Actor(visit.who.organization_id, visit.who.kind, "session")
    return visit


SignedIn = Annotated[Visit, Depends(_signed_in)]
"""The permission of whoever has a session."""
ReadsBoard = Annotated[Visit, Depends(_With(Scope.NEEDS_READ))]
Posts = Annotated[Visit, Depends(_With(Scope.NEEDS_WRITE))]
ReadsAddresses = Annotated[Visit, Depends(_With(Scope.ALLOCATIONS_WRITE))]
ReadsAwaiting = Annotated[Visit, Depends(_With(Scope.ALLOCATIONS_READ))]
Answers = Annotated[Visit, Depends(_With(Scope.ALLOCATIONS_WRITE, Scope.ALLOCATIONS_CONFIRM))]
Marks = Annotated[Visit, Depends(_With(Scope.ALLOCATIONS_WRITE))]
ReadsNetwork = Annotated[Visit, Depends(_With(*sorted(NETWORK_SCOPES)))]
ReadsPacts = Annotated[Visit, Depends(_With(Scope.PACTS_READ))]
Notifies = Annotated[Visit, Depends(_With(Scope.NOTIFICATIONS_WRITE))]
SignsPacts = Annotated[Visit, Depends(_With(Scope.PACTS_WRITE))]
ReadsHouses = Annotated[Visit, Depends(_With(Scope.OFFERS_READ))]
WritesHouses = Annotated[Visit, Depends(_With(Scope.OFFERS_WRITE))]
"""Sites, offers and their slots, pledges and shifts: the API asks for the same."""
