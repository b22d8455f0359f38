"""Who asks, and whether they may: permissions as types that stand in a route's signature.

Every failure to show a live key answers the same bytes. A request with an `Idempotency-Key` is looked up only after
its key was checked, so that an old answer is never given to a key that may no longer ask.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from api import idempotency
from api.clients import hidden_client, networks
from api.pace import Bucket, Rate
from api.problems import Forbidden, Unauthenticated
from api.strict import refuse_strangers, sole
from api.transactions import turn_of
from db import keys
from db.audit import Actor
from db.keys import ONLY_CALENDAR, Holder, Scope

__all__ = [
    "AnswersAllocations",
    "AnyKey",
    "Anyone",
    "Caller",
    "ReadsAddresses",
    "ReadsAllocations",
    "ReadsCalendar",
    "ReadsDirectory",
    "ReadsNeeds",
    "ReadsOffers",
    "ReadsPacts",
    "WritesAllocations",
    "WritesNeeds",
    "WritesNotifications",
    "WritesOffers",
    "WritesPacts",
    "WritesWebhooks",
]


Caller = Holder
"""The organization that asks, and what its key may do."""

_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of an organization: `relais_<prefix>_<secret>`."
)


_BASIC = 'Basic realm="Relais", charset="UTF-8"'
"""Programs that can ask people for a password do so when they are told this."""


class _Password(HTTPBasic):
    """HTTP Basic; what is not written as it should be is no password."""

    async def __call__(self, request: Request) -> HTTPBasicCredentials | None:  # type: ignore[override]
        """The name and the password, if any."""
        try:
            return await super().__call__(request)
        except HTTPException:
            return None


_basic = _Password(
    auto_error=False,
    scheme_name="calendar_key",
    description="For calendar programs: any name, and as the password a key that can do nothing but this.",
)


async def _known(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    sole(request, "Authorization")
    if given is None:
        raise Unauthenticated
    return await _holder(request, given.credentials, "Bearer")


async def _holder(request: Request, written: str, challenge: str) -> Caller:
    turn = turn_of(request)
    holder = await keys.holder(turn.tx, written, turn.house.key_hashing)
    if holder is None:
        raise Unauthenticated(challenge)
    request.state.organization_id = holder.organization_id
    per_minute = Rate(turn.house.settings.key_requests_per_minute, 60)
    await turn.house.pace.take([Bucket(f"key:{holder.prefix}", per_minute)])
    return holder


async def _admitted(request: Request, who: Caller) -> Caller:
    refuse_strangers(request)
    if request.method == "POST":
        turn = turn_of(request)
        turn.ticket = await idempotency.claim(
            turn.tx, request, turn.raw, who.organization_id, turn.house.request_hashing
        )
    return who


class _With:
    """The permission that any of these scopes gives; the audit names the first that the key has."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request, who: Annotated[Caller, Depends(_known)]) -> Caller:
        self.check(request, who)
        return await _admitted(request, who)

    def check(self, request: Request, who: Caller) -> None:
        """Whether the key may do this; who acts and with what right is then known to the audit."""
        held = next((scope for scope in self.scopes if scope in who.scopes), None)
        if held is None:
            raise Forbidden
        turn_of(request).actor = Actor(who.organization_id, who.kind, held)


class _ToRead(_With):
    """The permission to be told what is never stored: such an answer is given anew each time, whatever key is sent."""

    async def __call__(self, request: Request, who: Annotated[Caller, Depends(_known)]) -> Caller:
        self.check(request, who)
        refuse_strangers(request)
        return who


async def _any(request: Request, who: Annotated[Caller, Depends(_known)]) -> Caller:
    return await _admitted(request, who)


async def _reads_directory(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller | None:
    """Who shows a key, which must then be a live one that reads offers; else nobody, who is counted by address."""
    refuse_strangers(request)
    if sole(request, "Authorization") is not None:
        who = await _known(request, given)
        _With(Scope.OFFERS_READ).check(request, who)
        return who
    house = turn_of(request).house
    client = hidden_client(request, networks(house.settings.trusted_proxies), house.client_hashing)
    per_minute = Rate(house.settings.directory_requests_per_client, 60)
    await house.pace.take([Bucket(f"directory:{client}", per_minute)])
    return None


async def _reads_calendar(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    typed: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
) -> Caller:
    """A key as everywhere; or as the password of HTTP Basic, where it can do nothing else.

    Calendar programs keep passwords where others may find them, and hand them to the services that they belong to.
    """
    sole(request, "Authorization")
    shown = given.credentials if given else typed.password if typed else ""
    who = await _holder(request, shown, _BASIC)
    _With(Scope.CALENDAR_READ).check(request, who)
    if given is None and who.scopes != ONLY_CALENDAR:
        raise Forbidden
    refuse_strangers(request)
    return who


async def _anyone(request: Request) -> None:
    refuse_strangers(request)


Anyone = Annotated[None, Depends(_anyone)]
"""The permission of what is public: no key is asked for."""
AnyKey = Annotated[Caller, Depends(_any)]
ReadsCalendar = Annotated[Caller, Depends(_reads_calendar)]
"""The permission of calendar programs, which can send a password and no other header."""
ReadsDirectory = Annotated[Caller | None, Depends(_reads_directory)]
"""The permission to read what is public; who shows a key reads what that key may see."""
ReadsNeeds = Annotated[Caller, Depends(_With(Scope.NEEDS_READ))]
WritesNeeds = Annotated[Caller, Depends(_With(Scope.NEEDS_WRITE))]
ReadsOffers = Annotated[Caller, Depends(_With(Scope.OFFERS_READ))]
WritesOffers = Annotated[Caller, Depends(_With(Scope.OFFERS_WRITE))]
ReadsAllocations = Annotated[Caller, Depends(_With(Scope.ALLOCATIONS_READ))]
AnswersAllocations = Annotated[Caller, Depends(_With(Scope.ALLOCATIONS_WRITE, Scope.ALLOCATIONS_CONFIRM))]
"""The permission to say yes or no to a hold, which keys that can do nothing else have too."""
ReadsAddresses = Annotated[Caller, Depends(_ToRead(Scope.ALLOCATIONS_WRITE))]
"""Not of keys that only read: those stand in screens and feeds."""
WritesAllocations = Annotated[Caller, Depends(_With(Scope.ALLOCATIONS_WRITE))]
ReadsPacts = Annotated[Caller, Depends(_With(Scope.PACTS_READ))]
WritesPacts = Annotated[Caller, Depends(_With(Scope.PACTS_WRITE))]
WritesWebhooks = Annotated[Caller, Depends(_With(Scope.WEBHOOKS_WRITE))]
WritesNotifications = Annotated[Caller, Depends(_With(Scope.NOTIFICATIONS_WRITE))]
