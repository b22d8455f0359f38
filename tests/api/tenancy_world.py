"""A world of three organizations that own one object of every kind in every state, and of all who come to ask for them.

`hall` gives places, `refuge` a home and volunteers, `desk` posts needs. Objects come into being over HTTP; states that
only time or a worker brings about are written into the tables.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from db import keys, shifts
from db.connection import transaction
from db.keys import ONLY_CONFIRMS, Scope
from db.shifts import NewShift
from matching.delivering import DeliveryState, WebhookState
from matching.states import AllocationState, NeedState, PactState, ReferralState, ShiftState
from matching.vocabulary import OrganizationKind
from tests.api.bodies import channel_body, offer_body, pathway_body, pledge_body, practice_body, project_body, site_body
from tests.api.conftest import JoinNetwork, Organization
from tests.api.scenes import post_need
from tests.api.tenancy_table import Kind, Role
from tests.db.acts import hold, one, rows
from tests.pacts import add_pact, add_referral
from tests.places import BRIANCON, GAP, HENDAYE, IRUN, PlaceRow
from tests.volunteers import add_gym

__all__ = ["ADDRESS", "MEETING_POINT", "SITE_NAME", "Caller", "Thing", "World", "build_world"]

ADDRESS, MEETING_POINT, SITE_NAME = "3 impasse du Ruisseau", "the fountain by the station", "Maison Aubépine"
_READS = frozenset({Scope.NEEDS_READ, Scope.OFFERS_READ, Scope.ALLOCATIONS_READ})
_SHIFT_TURNS: dict[str, str] = {
    "asked": "asked = 1, asked_at = now() + interval '1 second'",
    "at risk": "asked = 1, asked_at = now() + interval '1 second', at_risk_at = now()",
    ShiftState.COMPLETED: "state = 'completed'",
    ShiftState.RELEASED: "state = 'released'",
}


@dataclass(frozen=True)
class Thing:
    """An object of somebody's: what it is, in which state, and who stands how to it.

    `slot` is one of an offer's slots, or a slot's own offer: what stands beside it in a path.
    """

    kind: Kind
    id: str
    state: str
    roles: Mapping[UUID, Role]
    town: int | None = None
    version: int = 1
    beside: str = ""
    public: bool = False
    """Whether it is told of to who shows no key."""

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


@dataclass(frozen=True)
class Caller:
    """Somebody who asks: with which key, and as which kind of organization; `able` to do all that any may do."""

    name: str
    http: httpx.AsyncClient
    organization: UUID | None = None
    towns: frozenset[int] = frozenset()
    coordinates: bool = False
    shut_out: bool = False
    keyless: bool = False
    """Who shows none at all, not even a wrong one."""
    able: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass
class World:
    """What there is, and who asks for it; `code` opens the slip of a need that has the place `peoples_place`."""

    hall: Organization
    refuge: Organization
    desk: Organization
    things: list[Thing] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    code: str = ""
    peoples_place: str = ""

    def of(self, kind: Kind) -> list[Thing]:
        """All objects of a kind."""
        return [thing for thing in self.things if thing.kind is kind]

    def roles(self, caller: Caller, thing: Thing) -> frozenset[Role]:
        """What a caller is to an object."""
        made = {role for organization, role in thing.roles.items() if organization == caller.organization}
        if thing.kind in (Kind.OFFER, Kind.SLOT) and caller.coordinates and thing.town in caller.towns:
            made.add(Role.TOWN)
        if caller.keyless and thing.public:
            made.add(Role.ANYBODY)
        if thing.id == self.peoples_place:
            made.add(Role.PEOPLE)
        return frozenset(made)

    def own(self, caller: Caller, kind: Kind) -> Thing | None:
        """An object of the caller's own."""
        return next((each for each in self.of(kind) if caller.organization in each.roles), None)


async def build_world(engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient) -> World:
    """Build it; nothing works on it afterwards but those who ask."""
    world = World(
        await client(OrganizationKind.MUNICIPALITY),
        await client(OrganizationKind.ASSOCIATION),
        await client(OrganizationKind.COORDINATION),
    )
    main = await _site_with_offer(world.hall, capacity=200)
    world.things += await _stays(engine, world)
    await _houses(engine, world, main)
    world.things += await _volunteers(engine, world)
    world.things += await _pacts(engine, world)
    for owner in (world.hall, world.desk):
        world.things += await _webhooks(engine, owner)
        world.things.append(await _channel(owner))
    world.things += [
        Thing(Kind.ORGANIZATION, str(each.id), "a member", {each.id: Role.OWNER}, public=each is world.hall)
        for each in (world.hall, world.refuge, world.desk)
    ]
    world.things.append(await _withdrawn_practice(world.hall))
    world.things.append(await _pathway(world.desk))
    world.things.append(await _project(world.desk))
    await _callers(engine, client, anyone, world)
    world.things += [each async for each in _places(engine)]
    world.things = [await _as_it_stands(engine, thing) for thing in world.things]
    return world


async def _site_with_offer(
    owner: Organization, where: PlaceRow = BRIANCON, site: Mapping[str, Any] = {}, **offer: object
) -> str:
    """A site whose way is described, and an offer there: the offer's id."""
    location = {"type": "Point", "coordinates": [where.longitude, where.latitude]}
    made = await owner.http.post(
        "/v1/sites", json=site_body(name=SITE_NAME, town=where.id, location=location) | dict(site)
    )
    assert made.status_code == 201, made.text
    path = f"/v1/sites/{made.json()['id']}"
    told = {"address": ADDRESS, "meeting_point": MEETING_POINT}
    await owner.http.put(f"{path}/address", json=told, headers={"If-Match": "*"})
    if site.get("kind") == "private_home":
        await owner.http.post(f"{path}/vet")
    opened = await owner.http.post("/v1/offers", json=offer_body(made.json()["id"], **offer))
    assert opened.status_code == 201, opened.text
    return str(opened.json()["id"])


async def _stays(engine: AsyncEngine, world: World) -> list[Thing]:
    """Of the hall to the desk an allocation in each state, and needs in each; one of each is the refuge's."""
    made = []
    needs = [*NeedState, NeedState.HELD, NeedState.HELD, NeedState.HELD]
    for state, allocation in zip(needs, [*AllocationState, "tentative", "of the people who ask"], strict=True):
        urgency = "normal" if allocation == "tentative" else "vital"
        made += await _stay(engine, world, world.desk, state, allocation, urgency=urgency)
    return [*made, *await _stay(engine, world, world.refuge, NeedState.HELD, "of the refuge")]


async def _stay(
    engine: AsyncEngine, world: World, poster: Organization, state: NeedState, allocation: str, **need: object
) -> list[Thing]:
    """A need and its allocation."""
    posted = await post_need(poster, **need)
    (held,) = await hold(engine, UUID(posted["id"]))
    ended = "now()" if state in (NeedState.CLOSED, NeedState.WITHDRAWN) else "null"
    await rows(
        engine, f"update need set state = :state, ended_at = {ended} where id = :id", state=state, id=posted["id"]
    )
    if allocation in list(AllocationState):
        await rows(engine, "update allocation set state = :state where id = :id", state=allocation, id=held)
    if allocation == "of the people who ask":
        world.code, world.peoples_place = posted["code"], str(held)
    sides = {world.hall.id: Role.PROVIDER, poster.id: Role.POSTER}
    return [
        Thing(Kind.NEED, posted["id"], f"{state}, {allocation}", {poster.id: Role.OWNER}),
        Thing(Kind.ALLOCATION, str(held), allocation, sides),
    ]


async def _houses(engine: AsyncEngine, world: World, main: str) -> None:
    """Sites of every visibility and offers in every state; `_places` reads them from the tables."""
    await _site_with_offer(world.hall, site={"visibility": "public"})
    home = {"kind": "private_home", "visibility": "public"}
    await _site_with_offer(world.refuge, site=home)
    paused = await _site_with_offer(world.hall, site={"visibility": "rendezvous"})
    closed = await _site_with_offer(world.hall)
    stale = await _site_with_offer(world.hall)
    assert (await world.hall.http.post(f"/v1/offers/{paused}/pause")).status_code == 200
    assert (await world.hall.http.post(f"/v1/offers/{closed}/close")).status_code == 200
    await rows(engine, "update offer set verified_at = now() - interval '90 days' where id = :id", id=stale)
    assert main != stale


async def _volunteers(engine: AsyncEngine, world: World) -> list[Thing]:
    """A gym of the hall's with shifts in every state, of volunteers of the refuge."""
    pledges = []
    for _ in range(2):
        posted = await world.refuge.http.post("/v1/pledges", json=pledge_body(headcount=50, shifts_per_week_max=50))
        assert posted.status_code == 201, posted.text
        pledges.append(posted.json()["id"])
    async with transaction(engine) as tx:
        gym = await add_gym(tx, world.hall.id)
    nights = await rows(engine, "select id, day from slot where offer_id = :id order by day", id=gym)
    async with transaction(engine) as tx:
        await shifts.plan(tx, [NewShift(UUID(pledges[0]), night.id, night.day, 2) for night in nights])
    planned = [str(row.id) for row in await rows(engine, "select id from shift order by starts")]
    states = [ShiftState.PLANNED, ShiftState.CONFIRMED, ShiftState.DECLINED, *_SHIFT_TURNS]
    assert len(planned) == len(states) == len(nights), (planned, states)
    act = f"/v1/shifts/{planned[1]}/confirm"
    assert (await world.refuge.http.post(act)).status_code == 200
    act = f"/v1/shifts/{planned[2]}/decline"
    assert (await world.refuge.http.post(act, json={"reason": "other"})).status_code == 200
    for shift_id, state in zip(planned, states, strict=True):
        if turn := _SHIFT_TURNS.get(state):
            await rows(engine, f"update shift set {turn} where id = :id", id=shift_id)
    act = f"/v1/pledges/{pledges[1]}"
    closed = await world.refuge.http.patch(act, headers={"If-Match": "*"}, json={"state": "closed"})
    assert closed.status_code == 200, closed.text
    ends = {world.refuge.id: Role.PLEDGER, world.hall.id: Role.HOST}
    return [
        *(Thing(Kind.SHIFT, each, state, ends) for each, state in zip(planned, states, strict=True)),
        *(
            Thing(Kind.PLEDGE, each, state, {world.refuge.id: Role.OWNER})
            for each, state in zip(pledges, ("open", "closed"), strict=True)
        ),
    ]


async def _pacts(engine: AsyncEngine, world: World) -> list[Thing]:
    """Of the desk and the refuge a pact in each state, and one of which notice was given."""
    sides = {world.desk.id: Role.PARTY, world.refuge.id: Role.PARTY}
    turns = {
        PactState.PROPOSED: "state = 'proposed'",
        PactState.SIGNED: "state = 'signed'",
        PactState.ENDED: "state = 'ended', ended_at = now()",
        "noticed": f"notice_by = '{world.refuge.id}', notice_at = now(), ends_at = now() + interval '30 days'",
    }
    made = []
    for state, turn in turns.items():
        async with transaction(engine) as tx:
            pact_id = await add_pact(tx, (world.desk.id, BRIANCON), (world.refuge.id, GAP))
        await rows(engine, f"update pact set {turn} where id = :id", id=pact_id)
        made.append(Thing(Kind.PACT, str(pact_id), str(state), sides))
        made += await _referrals(engine, world, pact_id) if state == "noticed" else []
    return made


async def _referrals(engine: AsyncEngine, world: World, pact_id: UUID) -> list[Thing]:
    """Of a need of the desk's each, in each state."""
    ends = {world.desk.id: Role.POSTER, world.refuge.id: Role.RECEIVING}
    live = (ReferralState.OFFERED, ReferralState.ACCEPTED, ReferralState.PLACED)
    made = []
    for state in ReferralState:
        need = await post_need(world.desk)
        made.append(Thing(Kind.NEED, need["id"], f"open, {state} elsewhere", {world.desk.id: Role.OWNER}))
        async with transaction(engine) as tx:
            referral_id = await add_referral(
                tx,
                UUID(need["id"]),
                pact_id,
                (world.desk.id, BRIANCON),
                (world.refuge.id, GAP),
                state=state,
                ended_at=None if state in live else datetime.now(UTC),
            )
        made.append(Thing(Kind.REFERRAL, str(referral_id), state, ends))
    return made


async def _withdrawn_practice(owner: Organization) -> Thing:
    told = await owner.http.post("/v1/practices", json=practice_body())
    assert told.status_code == 201, told.text
    practice_id = told.json()["id"]
    assert (await owner.http.post(f"/v1/practices/{practice_id}/withdraw")).status_code == 200
    return Thing(Kind.PRACTICE, practice_id, "withdrawn", {owner.id: Role.OWNER})


async def _pathway(owner: Organization) -> Thing:
    posted = await owner.http.post("/v1/pathways", json=pathway_body())
    assert posted.status_code == 201, posted.text
    return Thing(Kind.PATHWAY, posted.json()["id"], "open", {owner.id: Role.OWNER})


async def _project(owner: Organization) -> Thing:
    posted = await owner.http.post("/v1/projects", json=project_body())
    assert posted.status_code == 201, posted.text
    return Thing(Kind.PROJECT, posted.json()["id"], "open", {owner.id: Role.OWNER})


async def _channel(owner: Organization) -> Thing:
    added = await owner.http.post("/v1/notifications/channels", json=channel_body())
    assert added.status_code == 201, added.text
    return Thing(Kind.CHANNEL, added.json()["id"], "active", {owner.id: Role.OWNER})


async def _webhooks(engine: AsyncEngine, owner: Organization) -> list[Thing]:
    """An active webhook with an event in each state, and one that is disabled."""
    made = []
    for state in WebhookState:
        added = await owner.http.post("/v1/webhooks", json={"url": "https://hooks.example.org/relais"})
        assert added.status_code == 201, added.text
        made.append(Thing(Kind.WEBHOOK, added.json()["id"], state, {owner.id: Role.OWNER}))
    active, disabled = (thing.id for thing in made)
    gone = "state = 'disabled', reason = 'gone', disabled_at = now()"
    await rows(engine, f"update webhook set {gone} where id = :id", id=disabled)
    for delivery in DeliveryState:
        await rows(
            engine,
            "insert into webhook_delivery (webhook_id, event_id, kind, object_id, at, state)"
            " values (:id, gen_random_uuid(), 'need.posted', gen_random_uuid(), now(), :state)",
            id=active,
            state=delivery,
        )
    told = await rows(engine, "select event_id, state from webhook_delivery where webhook_id = :id", id=active)
    made += [Thing(Kind.DELIVERY, str(each.event_id), str(each.state), {owner.id: Role.OWNER}) for each in told]
    return made


async def _places(engine: AsyncEngine) -> AsyncIterator[Thing]:
    """Every site, every offer, and one slot of each offer, as they stand in the tables."""
    for row in await rows(
        engine, "select id, organization_id, visibility, kind, town_id from site order by created_at"
    ):
        roles = {row.organization_id: Role.OWNER}
        yield Thing(Kind.SITE, str(row.id), f"{row.kind}, {row.visibility}", roles, row.town_id)
    slots = """
        select o.id, o.organization_id, o.state, h.town_id, h.visibility, o.is_public and o.state <> 'closed' as public,
               (select id from slot where offer_id = o.id order by used desc, id limit 1) as slot
          from offer o join site h on h.id = o.site_id order by o.created_at, o.id
    """
    for row in await rows(engine, slots):
        roles, state = {row.organization_id: Role.OWNER}, f"{row.state}, {row.visibility}"
        yield Thing(Kind.OFFER, str(row.id), state, roles, row.town_id, beside=str(row.slot), public=row.public)
        yield Thing(Kind.SLOT, str(row.slot), state, roles, row.town_id, beside=str(row.id))


async def _as_it_stands(engine: AsyncEngine, thing: Thing) -> Thing:
    if thing.kind is Kind.DELIVERY:
        return thing
    number = int(thing.id) if thing.kind is Kind.SLOT else UUID(thing.id)
    # A pathway changes as its steps do.
    steps = "select sum(version) as version from need where pathway_id = :id"
    of_row = f"select version from {thing.kind} where id = :id"
    found = await one(engine, steps if thing.kind is Kind.PATHWAY else of_row, id=number)
    return replace(thing, version=found.version)


async def _callers(engine: AsyncEngine, client: JoinNetwork, anyone: httpx.AsyncClient, world: World) -> None:
    """Who asks: strangers of every kind and key, those who are shut out, and the three themselves."""
    coordination, association, municipality = (
        OrganizationKind.COORDINATION,
        OrganizationKind.ASSOCIATION,
        OrganizationKind.MUNICIPALITY,
    )
    strangers: list[tuple[str, OrganizationKind, frozenset[Scope] | None, tuple[int, ...]]] = [
        ("a coordination of the same town", coordination, None, (BRIANCON.id,)),
        ("a coordination of another town", coordination, None, (HENDAYE.id,)),
        ("a coordination without towns", coordination, None, ()),
        ("an association of the same town", association, None, (BRIANCON.id,)),
        ("a municipality of the same town", municipality, None, (BRIANCON.id,)),
        ("a key that only confirms", municipality, ONLY_CONFIRMS, (BRIANCON.id,)),
        ("a key that only reads", association, _READS, (BRIANCON.id,)),
        ("a coordination's key that only reads", coordination, _READS, (HENDAYE.id,)),
    ]
    for name, kind, scopes, towns in strangers:
        who = await client(kind, scopes, towns)
        able = scopes is None and kind is not coordination
        world.callers.append(replace(_caller(name, who, kind, towns), able=able))
        if able:
            await _site_with_offer(who, IRUN)
    world.callers += [
        _caller("the hall", world.hall, municipality, (BRIANCON.id,)),
        _caller("the refuge", world.refuge, association, (BRIANCON.id,)),
        _caller("the desk", world.desk, coordination, (BRIANCON.id,)),
    ]
    revoked, expired, gone = await client(), await client(), await client(municipality)
    async with transaction(engine) as tx:
        await keys.revoke(tx, _prefix(revoked))
        await keys.revoke_all(tx, gone.id)
    await rows(engine, "update api_key set expires_at = now() where prefix = :prefix", prefix=_prefix(expired))
    shut_out = {
        "nobody's key": anyone,
        "a revoked key": revoked.http,
        "an expired key": expired.http,
        "a key of a revoked organization": gone.http,
    }
    world.callers += [Caller(name, http, shut_out=True, keyless=http is anyone) for name, http in shut_out.items()]


def _caller(name: str, who: Organization, kind: OrganizationKind, towns: tuple[int, ...]) -> Caller:
    return Caller(name, who.http, who.id, frozenset(towns), coordinates=kind is OrganizationKind.COORDINATION)


def _prefix(organization: Organization) -> str:
    return organization.key.split("_")[1]
