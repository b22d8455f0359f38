"""Needs: post one or many, follow them, change them, withdraw them.

A need has no free text: closed vocabularies, counts and times. Its slip code is derived, shown to its poster
alone, and stored nowhere.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.allocations import AllocationOut
from api.authorization import Caller, ReadsNeeds, WritesNeeds
from api.house import House, TheHouse
from api.languages import LanguageWire
from api.lists import After, Limit, Listed, listed
from api.preferences import Patience
from api.problems import MethodNotAllowed, problems
from api.said import PreferencesOut
from api.transactions import Reply, TransactionalRoute, Tx
from api.versions import IfMatch
from api.wire import CategoryCode, CountryCode, Instant, KnownCountry, Provision, TownId, Wire, emptied
from db import allocations, awaited, keys, needs, preferences, referring, stays
from db.allocations import AllocationFacts
from db.connection import transaction
from db.needs import NeedFacts, Posted
from db.preferences import NOTHING_SAID, Said
from matching.bounds import WAY_KM
from matching.needs import People
from matching.posting import NeedTerms
from matching.states import NeedState
from matching.vocabulary import Audience, Stay, Urgency

__all__ = ["router"]

router = APIRouter(prefix="/v1/needs", tags=["needs"], route_class=TransactionalRoute)
MOST_AT_ONCE = 500
MOST_PEOPLE = 500
_ALL_BUT_POST = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]


class PeopleWire(Wire):
    """Head-counts of one party."""

    adults: Annotated[int, Field(ge=0, le=MOST_PEOPLE)] = 0
    minors: Annotated[int, Field(ge=0, le=MOST_PEOPLE)] = 0


Codes = Annotated[list[Provision], Field(max_length=40)]
Words = Annotated[list[Audience], Field(min_length=1, max_length=5)]
RuleCode = Annotated[str, Field(max_length=30)]
Countries = Annotated[list[KnownCountry], Field(min_length=1, max_length=50)]
MaxKm = Annotated[int, Field(ge=WAY_KM.least, le=WAY_KM.most)]


class NeedIn(Wire):
    """What one party needs, where, when and how urgently. Nothing about who they are."""

    category: CategoryCode
    town: TownId
    people: PeopleWire
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    urgency: Urgency = Urgency.NORMAL
    stay: Stay = Stay.UNKNOWN
    audience: Words = Field(default_factory=lambda: [Audience.ANYONE])
    requires: Codes = Field(default_factory=list)
    countries: Countries | None = None
    max_km: MaxKm | None = None
    divisible: bool = False
    language: LanguageWire | None = None

    def terms(self) -> NeedTerms:
        """The need as the domain knows it."""
        return NeedTerms(
            category=self.category,
            town_id=self.town,
            people=People(self.people.adults, self.people.minors),
            starts=self.from_,
            ends=self.until,
            urgency=self.urgency,
            stay=self.stay,
            audience=frozenset(self.audience),
            requires=frozenset(self.requires),
            countries=frozenset(self.countries or ()),
            max_km=self.max_km,
            divisible=self.divisible,
            language=self.language.language() if self.language else None,
        )


class NeedPatch(Wire):
    """What may change of a need; what is left out stays as it is."""

    people: PeopleWire | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    until: Instant | None = None
    urgency: Urgency | None = None
    stay: Stay | None = None
    audience: Words | None = None
    requires: Codes | None = None
    countries: Countries | None = None
    max_km: MaxKm | None = None
    divisible: bool | None = None
    language: LanguageWire | None = None

    def applied_to(self, terms: NeedTerms) -> NeedTerms:
        """The need's terms with the changes. Raises `Invalid` where what must be there is set to null."""
        emptied(self, may_be_null={"max_km", "language"})
        changes = {_TERM_OF.get(name, name): self._term(name) for name in self.model_fields_set}
        return replace(terms, **changes)

    def _term(self, name: str) -> Any:
        value = getattr(self, name)
        match value:
            case PeopleWire():
                return People(value.adults, value.minors)
            case LanguageWire():
                return value.language()
            case list():
                return frozenset(value)
        return value


_TERM_OF = {"from_": "starts", "until": "ends"}


class NeedWarning(Wire):
    """Something to look at; nothing was refused."""

    code: Literal["possible_duplicate"]
    need_id: UUID


class NeedOut(Wire):
    """A need as its organization sees it. `code` is the slip's, for the people themselves."""

    id: UUID
    category: CategoryCode
    town: TownId
    people: PeopleWire
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    urgency: Urgency
    stay: Stay
    audience: Words
    requires: Codes
    countries: Annotated[list[CountryCode], Field(min_length=1, max_length=50)]
    max_km: MaxKm | None
    divisible: bool
    language: LanguageWire | None
    state: NeedState
    posted_at: Instant
    deadline: Instant
    unmet_reasons: Annotated[dict[RuleCode, Annotated[int, Field(ge=0)]], Field(max_length=30)] | None
    parked: bool
    searched_town: Annotated[
        TownId | None, Field(description="The partner town around which a place is looked for, where it was referred.")
    ]
    pathway_id: Annotated[UUID, Field(description="The pathway of which it is a step.")] | None
    project_id: Annotated[UUID, Field(description="The project of which it is a party.")] | None
    preferences: Annotated[
        PreferencesOut, Field(description="What the people said on their slip; only they change it.")
    ]
    allocations: Annotated[list[AllocationOut], Field(max_length=1000)]
    code: Annotated[str, Field(max_length=20)] | None
    warnings: Annotated[list[NeedWarning], Field(max_length=10)]
    version: Annotated[int, Field(ge=1)]

    @classmethod
    def of(
        cls,
        facts: NeedFacts,
        placed: Sequence[AllocationFacts],
        said: Said = NOTHING_SAID,
        *,
        code: str | None = None,
        lookalike: UUID | None = None,
    ) -> "NeedOut":
        """Render one need with its allocations."""
        terms = facts.terms
        return cls(
            id=facts.id,
            category=terms.category,
            town=terms.town_id,
            people=PeopleWire(adults=terms.people.adults, minors=terms.people.minors),
            from_=terms.starts,
            until=terms.ends,
            urgency=terms.urgency,
            stay=terms.stay,
            audience=sorted(terms.audience),
            requires=sorted(terms.requires),
            countries=sorted(terms.countries),
            max_km=terms.max_km,
            divisible=terms.divisible,
            language=LanguageWire.of(terms.language),
            state=facts.state,
            posted_at=facts.posted_at,
            deadline=facts.deadline,
            unmet_reasons=facts.unmet_reasons if facts.state is NeedState.UNMET else None,
            parked=facts.parked,
            searched_town=facts.searched_town_id,
            pathway_id=facts.pathway_id,
            project_id=facts.project_id,
            preferences=PreferencesOut.of(said),
            allocations=[AllocationOut.of(each) for each in placed],
            code=code,
            warnings=[NeedWarning(code="possible_duplicate", need_id=lookalike)] if lookalike else [],
            version=facts.version,
        )


class ReferIn(Wire):
    """Under which pact; without one, under any there is."""

    pact_id: UUID | None = None


class BatchIn(Wire):
    """A queue at the door: many parties, all posted or none."""

    needs: Annotated[list[NeedIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class BatchOut(Wire):
    """The needs posted, in the order given."""

    items: Annotated[list[NeedOut], Field(max_length=MOST_AT_ONCE)]


@router.post("", status_code=201, responses=problems(401, 403, 409, 422))
async def post_need(
    body: NeedIn, who: WritesNeeds, tx: Tx, reply: Reply, house: TheHouse, patience: Patience
) -> NeedOut:
    """Post what one party needs; it is held at the best feasible place within moments.

    With `Prefer: wait=5` the answer waits up to that many seconds for the first hold.
    """
    added = await needs.add(tx, who.organization_id, [body.terms()], filed=house.slips.filed)
    (posted,) = _posted(added, reply)
    reply.ring()
    reply.created(f"/v1/needs/{posted.id}", posted.version)
    if patience:
        reply.later(lambda: _after_first_hold(house, reply, who, posted, patience))
    return posted


@router.post("/batch", status_code=201, responses=problems(401, 403, 409, 422))
async def post_needs(body: BatchIn, who: WritesNeeds, tx: Tx, reply: Reply, house: TheHouse) -> BatchOut:
    """Post what up to 500 parties need, all or none."""
    pointers = [f"/needs/{index}" for index in range(len(body.needs))]
    terms = [need.terms() for need in body.needs]
    added = await needs.add(tx, who.organization_id, terms, pointers, house.slips.filed)
    reply.ring()
    return BatchOut(items=_posted(added, reply))


@router.api_route("/batch", methods=_ALL_BUT_POST, include_in_schema=False)
async def refuse_other_methods() -> None:
    """A batch is only posted: without this, its name would be read as the id of a need."""
    raise MethodNotAllowed("POST")


@router.get("", responses=problems(401, 403, 422))
async def list_needs(
    who: ReadsNeeds,
    tx: Tx,
    after: After,
    limit: Limit = 50,
    state: Annotated[NeedState | None, Query()] = None,
) -> Listed[NeedOut]:
    """The caller's own needs, newest first."""
    page = await needs.page(tx, who.organization_id, state, after, limit)
    ids = [need.id for need in page.items]
    placed, said = await allocations.of_needs(tx, ids), await preferences.of_needs(tx, ids)
    return listed(page, lambda need: NeedOut.of(need, placed[need.id], said.get(need.id, NOTHING_SAID)))


@router.get("/{need_id}", responses=problems(401, 403, 404, 422))
async def read_need(need_id: UUID, who: ReadsNeeds, tx: Tx, reply: Reply) -> NeedOut:
    """One need with its allocations."""
    return await _need(tx, who, need_id, reply)


@router.patch("/{need_id}", responses=problems(401, 403, 404, 409, 412, 422, 428))
async def change_need(
    need_id: UUID, body: NeedPatch, who: WritesNeeds, tx: Tx, reply: Reply, version: IfMatch
) -> NeedOut:
    """Shorten, lengthen or move a stay, or change the party: the place is kept, or nothing changes."""
    before = await needs.read(tx, need_id, who.organization_id)
    terms = body.applied_to(before.terms)
    await stays.change(tx, need_id, who.organization_id, version, terms)
    reply.ring()
    return await _need(tx, who, need_id, reply)


@router.post("/{need_id}/withdraw", responses=problems(401, 403, 404, 409, 422))
async def withdraw_need(need_id: UUID, who: WritesNeeds, tx: Tx, reply: Reply) -> NeedOut:
    """The need is over: its places go to others at once."""
    await needs.withdraw(tx, need_id, who.organization_id)
    reply.ring()
    return await _need(tx, who, need_id, reply)


@router.post("/{need_id}/refer", responses=problems(401, 403, 404, 409, 422))
async def refer_need(need_id: UUID, who: WritesNeeds, tx: Tx, reply: Reply, body: ReferIn | None = None) -> NeedOut:
    """Ask a partner town now; without this it is asked once places at home were tried for as long as the policy says.

    The partner to which the fewest were referred this week for its size is asked, of those where something that fits
    is free. One that agreed beforehand has accepted at once.
    """
    await referring.ask(tx, need_id, who.organization_id, body.pact_id if body else None)
    reply.ring()
    return await _need(tx, who, need_id, reply)


async def _need(tx: Tx, who: Caller, need_id: UUID, reply: Reply) -> NeedOut:
    facts = await needs.read(tx, need_id, who.organization_id)
    placed = await allocations.of_needs(tx, [need_id])
    reply.version(facts.version)
    return NeedOut.of(facts, placed[need_id], await preferences.of_need(tx, need_id))


def _posted(added: Sequence[Posted], reply: Reply) -> list[NeedOut]:
    return [NeedOut.of(one.need, (), code=reply.code(one.need.id), lookalike=one.lookalike) for one in added]


async def _after_first_hold(
    house: House, reply: Reply, who: Caller, posted: NeedOut, patience: float
) -> NeedOut | None:
    """The need once a place is held for it; `None` when that takes longer than the caller waits.

    A key that was revoked meanwhile is told no more than that the need was posted.

    It listens before the bell has rung, and the watch looks twice a second for all who wait: a ring that is lost costs
    half a second, not the answer.
    """
    end = monotonic() + patience
    with house.ear.expecting(str(posted.id)) as heard:
        while (left := end - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await heard.wait()
            if not heard.is_set():
                return None
            heard.clear()
            async with transaction(house.engine) as tx:
                if not await keys.lives(tx, who):
                    return None
                found = await awaited.read(tx, posted.id, who.organization_id)
            if found.placed or found.need.state is not NeedState.OPEN:
                reply.version(found.need.version)
                lookalike = posted.warnings[0].need_id if posted.warnings else None
                return NeedOut.of(found.need, found.placed, code=posted.code, lookalike=lookalike)
    return None
