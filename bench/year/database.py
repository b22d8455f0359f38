"""Some evenings of the year through the service itself: its API, its worker's looks, its tables.

The same facts, at the same minutes of each evening as in `bench.year.simulation`; what comes of them is the service's.
Minutes pass by hand: what is to fall due later is put off for ever, and due when its minute has come. Nights lie in the
coming weeks, so that no clock is touched.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import httpx
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create
from api.settings import ApiSettings
from bench.year.facts import House, Network, Pact, Party
from bench.year.simulation import Lived
from bench.year.towns import NetworkTown
from db import keys, organizations, towns
from db.bell import Bell
from db.connection import connect, transaction
from db.roles import Role
from db.settings import Settings
from geo.gazetteer import GazetteerTown
from matching.policy import FIRST_POLICY, Policy
from matching.vocabulary import Acceptance, OrganizationKind
from worker.matching_round import look_for_places
from worker.referrals import look_after_referrals

__all__ = ["POLICY", "coming_monday", "live_through"]

POLICY: Final[Policy] = replace(FIRST_POLICY, refer_ahead_hours=24 * 60, fair_from_people=1_000_000)
"""As published, but that nights of the coming weeks are dealt with now; loads of towns are those of tonight alone."""
_DAY: Final = timedelta(days=1)
_PARK_AFTER: Final = 5
_TERMS: Final = text("""
    update policy set terms = terms || jsonb_build_object('refer_ahead_hours', cast(:ahead as int),
                                                          'fair_from_people', cast(:fair as int))
""")
_PUT_OFF: Final = text("update need set refer_at = 'infinity' where id = :need")
_DUE_NOW: Final = text("update need set refer_at = now() where id = :need")
_TIME_IS_OVER: Final = text("""
    update referral set return_by = now() where need_id = :need and state = 'accepted' returning id
""")
_NEWEST: Final = text("""
    select id, state, step, to_id, to_town_id from referral where need_id = :need order by created_at desc, id limit 1
""")
_ANSWERS: Final = text("""
    select count(*) as asked,
           count(*) filter (where answered_at is not null and state <> 'declined') as accepted,
           count(*) filter (where state = 'declined') as declined,
           count(*) filter (where state = 'placed') as placed,
           count(*) filter (where reason = 'nothing_there') as returned,
           count(*) filter (where reason = 'passed_on') as onward
      from referral
""")
_PLACED: Final = text("""
    select n.id, n.people, sum(k.people) as nights, h.town_id, a.distance_km + coalesce(r.distance_km, 0) as km,
           r.id is not null as passed_on
      from need n join allocation a on a.need_id = n.id and a.state = 'confirmed'
      join allocation_slot k on k.allocation_id = a.id and k.taken
      join offer o on o.id = a.offer_id join site h on h.id = o.site_id
      left join referral r on r.need_id = n.id and r.state = 'placed'
     where n.id = any(cast(:needs as uuid[])) group by n.id, a.id, h.town_id, r.id
""")


async def live_through(
    settings: Settings, network: Network, pacts: Sequence[Pact], evenings: Sequence[int]
) -> tuple[Lived, list[int]]:
    """Live these evenings through the service, in an empty migrated database; and the houses' places among equals."""
    async with _service(settings) as service:
        through = _Through(service, network)
        await through.move_in(pacts, evenings)
        for evening in evenings:
            await through.live(evening)
        return await through.lived(), await through.ties()


def coming_monday(today: date) -> date:
    """The first evening: nights that nothing has happened in yet."""
    return today + timedelta(days=7 - today.weekday())


@dataclass(frozen=True)
class _Service:
    """The API in this process, the worker's looks, and the operator's own connections."""

    settings: ApiSettings
    http: httpx.AsyncClient
    operator: AsyncEngine
    matcher: AsyncEngine
    bell: Bell

    async def post(self, path: str, key: str, body: Mapping[str, object]) -> Any:
        """What is answered to who shows this key."""
        answer = await self.http.post(f"/v1/{path}", json=body, headers={"Authorization": f"Bearer {key}"})
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise AssertionError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def work(self) -> None:
        """Looks of the worker until nothing changes."""
        while True:
            looked = await look_for_places(self.matcher, self.bell, 1, _PARK_AFTER, lambda: None, asyncio.Event())
            if not await look_after_referrals(self.matcher, self.bell) and not looked:
                return

    async def ask(self, statement: Any, **values: object) -> list[Row[Any]]:
        """What a statement of the operator returns."""
        async with transaction(self.operator) as tx:
            result = await tx.execute(statement, values)
            return list(result.all()) if result.returns_rows else []


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[_Service]:
    given = settings.model_dump(exclude={"database_address"}) | {"key_requests_per_minute": 1_000_000}
    ours = ApiSettings(**given)
    operator, matcher = connect(settings, "year"), connect(settings, "year", Role.MATCHER)
    app = create(ours)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://year.test") as http,
        ):
            yield _Service(ours, http, operator, matcher, Bell(settings))
    finally:
        await operator.dispose()
        await matcher.dispose()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A party without a place, and when the time of the partner that took it is over."""

    party: Party
    need_id: UUID
    comes_home_at: int | None = None
    answers: bool = False


@dataclass
class _Through:
    service: _Service
    network: Network
    keys: dict[int, tuple[UUID, str]] = field(default_factory=dict)
    """By town: its municipality, and a key."""
    offers: dict[int, UUID] = field(default_factory=dict)
    """By house; one that is closed all the time has none."""
    parties: dict[UUID, Party] = field(default_factory=dict)
    queue: list[tuple[int, int, _Waiting]] = field(default_factory=list)
    counted: int = 0

    async def move_in(self, pacts: Sequence[Pact], evenings: Sequence[int]) -> None:
        """Towns, their municipalities, houses and pacts."""
        await self.service.ask(_TERMS, ahead=POLICY.refer_ahead_hours, fair=POLICY.fair_from_people)
        async with transaction(self.service.operator) as tx:
            await towns.add(tx, [_gazetteer(town) for town in self.network.towns])
            for town in self.network.towns:
                who = await organizations.add(
                    tx, OrganizationKind.MUNICIPALITY, f"Municipality of {town.name}", (town.id,)
                )
                issued = await keys.issue(tx, who, self.service.settings.keys().of("api-key"))
                self.keys[town.id] = (who, issued.text)
        for number, house in enumerate(self.network.houses):
            await self._open(number, house, evenings)
        for pact in pacts:
            await self._agree(pact)

    async def live(self, evening: int) -> None:
        """One evening, minute by minute; who has no place at its end goes on their way."""
        waiting = []
        for party in self.network.parties(evening):
            await self._until(evening, party.minute)
            waiting.append(await self._come(party))
        await self._until(evening, None)
        for need_id, key in waiting:
            answer = await self.service.http.get(f"/v1/needs/{need_id}", headers={"Authorization": f"Bearer {key}"})
            if answer.json()["state"] != "confirmed":
                await self.service.post(f"needs/{need_id}/withdraw", key, {})

    async def lived(self) -> Lived:
        """What came of it, as the tables have it."""
        (counted,) = await self.service.ask(_ANSWERS)
        came = Lived(answers=+Counter(counted._mapping))
        for party in self.parties.values():
            came.asked[_monday(party)] += party.need.people.count
            came.unmet[_monday(party)] += party.need.people.count
        for row in await self.service.ask(_PLACED, needs=list(self.parties)):
            week = _monday(self.parties[row.id])
            (came.passed_on if row.passed_on else came.at_home)[week] += row.people
            came.unmet[week] -= row.people
            came.load[row.town_id] += int(row.nights)
            came.km += row.people * row.km
        return came

    async def ties(self) -> list[int]:
        """The houses' places among equals, in their order."""
        found = {row.id: row.tie for row in await self.service.ask(text("select id, tie from offer"))}
        return [
            found[self.offers[number]] if number in self.offers else 0 for number in range(len(self.network.houses))
        ]

    async def _until(self, evening: int, minute: int | None) -> None:
        while self.queue and (minute is None or self.queue[0][0] <= minute):
            now, _, waiting = heappop(self.queue)
            await self._pass_on(evening, now, waiting)

    async def _come(self, party: Party) -> tuple[UUID, str]:
        key = self.keys[party.town.id][1]
        posted = await self.service.post("needs", key, _body(party))
        need_id = UUID(posted["id"])
        self.parties[need_id] = party
        await self.service.ask(_PUT_OFF, need=need_id)
        await self.service.work()
        (need,) = await self.service.ask(text("select state from need where id = :need"), need=need_id)
        if need.state != "confirmed":
            self._later(party.minute + _patience(party), _Waiting(party, need_id))
        return need_id, key

    async def _pass_on(self, evening: int, now: int, waiting: _Waiting) -> None:
        """Its minute has come: the time of who took them is over, a partner answers, or one is asked."""
        need_id = waiting.need_id
        before = await self.service.ask(text("select count(*) as n from referral where need_id = :need"), need=need_id)
        if waiting.comes_home_at is not None and now >= waiting.comes_home_at:
            await self.service.ask(_TIME_IS_OVER, need=need_id)
            waiting = replace(waiting, comes_home_at=None)
        if waiting.answers:
            await self._answer(evening, waiting)
        else:
            await self.service.ask(_DUE_NOW, need=need_id)
        await self.service.work()
        await self.service.ask(_PUT_OFF, need=need_id)
        await self._see(now, waiting, before[0].n)

    async def _answer(self, evening: int, waiting: _Waiting) -> None:
        (asked,) = await self.service.ask(_NEWEST, need=waiting.need_id)
        key = self.keys[asked.to_town_id][1]
        if self.network.declines(evening, waiting.party.number, asked.to_town_id):
            await self.service.post(f"referrals/{asked.id}/decline", key, {"reason": "full"})
        else:
            await self.service.post(f"referrals/{asked.id}/accept", key, {})

    async def _see(self, now: int, waiting: _Waiting, before: int) -> None:
        """What came of it, and when it goes on."""
        found = await self.service.ask(
            text("select id, state, step from referral where need_id = :need order by created_at, id"),
            need=waiting.need_id,
        )
        fresh = found[before:]
        if not found:
            return
        newest = found[-1]
        if newest.state == "offered":
            later = replace(waiting, answers=True)
            self._later(now + self.network.parameters.answer_minutes, later)
        elif newest.state == "accepted" and (fresh or waiting.answers):
            home = now + POLICY.refer_search_minutes
            self._later(min(now + _patience(waiting.party), home), _Waiting(waiting.party, waiting.need_id, home))
        elif newest.state == "accepted" and waiting.comes_home_at is not None:
            self._later(waiting.comes_home_at, waiting)

    def _later(self, minute: int, waiting: _Waiting) -> None:
        self.counted += 1
        heappush(self.queue, (minute, self.counted, waiting))

    async def _open(self, number: int, house: House, evenings: Sequence[int]) -> None:
        first = self.network.parameters.first + evenings[0] * _DAY
        days = [first + each * _DAY for each in range(len(evenings) + 2)]
        open_days = [day for day in days if day.month in house.months]
        if not open_days:
            return
        key, point = self.keys[house.town.id][1], house.town.point
        site = {
            "name": f"House {number}",
            "town": house.town.id,
            "kind": "municipal_building",
            "location": {"type": "Point", "coordinates": [point.longitude, point.latitude]},
            "provides": sorted(house.offer.provides),
        }
        made = await self.service.post("sites", key, site)
        offer = {
            "site_id": made["id"],
            "category": "shelter",
            "capacity": house.places,
            "confirmation": Acceptance.STANDING,
            "first_day": open_days[0].isoformat(),
            "last_day": open_days[-1].isoformat(),
            "timezone": house.town.timezone,
            "opens": "19:00",
            "closes": "08:00",
        }
        self.offers[number] = UUID((await self.service.post("offers", key, offer))["id"])

    async def _agree(self, pact: Pact) -> None:
        (_, proposer), (partner_id, partner) = self.keys[pact.town.id], self.keys[pact.partner.id]
        today = datetime.now().astimezone().date()
        terms = {
            "to_partner_per_week": pact.to_partner,
            "to_proposer_per_week": pact.to_proposer,
            "categories": ["shelter"],
            "crosses_border": pact.town.country != pact.partner.country,
            "transport": "people",
            "acceptance": pact.acceptance,
            "first_day": (today - _DAY).isoformat(),
            "last_day": (today + 365 * _DAY).isoformat(),
        }
        towns_of = {"town": pact.town.id, "partner": str(partner_id), "partner_town": pact.partner.id}
        made = await self.service.post("pacts", proposer, towns_of | {"terms": terms})
        await self.service.post(f"pacts/{made['id']}/sign", partner, {"number": 1})


def _body(party: Party) -> dict[str, object]:
    need = party.need
    return {
        "category": "shelter",
        "town": party.town.id,
        "people": {"adults": need.people.adults, "minors": need.people.minors},
        "from": need.window.starts.isoformat(),
        "until": need.window.ends.isoformat(),
        "urgency": need.urgency,
        "stay": need.stay,
        "requires": sorted(need.requires),
        "countries": sorted(need.countries),
        "max_km": need.max_km,
    }


def _patience(party: Party) -> int:
    return POLICY.refer_after_minutes[party.need.urgency]


def _monday(party: Party) -> date:
    day = party.need.days[0]
    return day - timedelta(days=day.weekday())


def _gazetteer(town: NetworkTown) -> GazetteerTown:
    return GazetteerTown(
        id=town.id,
        name=town.name,
        country=town.country,
        population=town.inhabitants,
        timezone=town.timezone,
        point=town.point,
        names={},
    )
