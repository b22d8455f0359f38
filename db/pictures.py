"""The picture of the nights ahead: all that decides who gets a place, read of one moment, and nothing written."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import policies, seekers, surroundings
from db.pact_facts import IN_FORCE
from db.seekers import InPool
from db.tables import Pledge as PledgeRow
from db.tables.metadata import columns
from geo.cells import Cell
from matching.needs import NeedId, OfferId
from matching.offers import Offer
from matching.pictures import Guest, House, Origin, Passage, Picture, Room, Serving, Stay, Volunteers
from matching.policy import Policy
from matching.schedule import Session
from matching.vocabulary import Acceptance, Coverage
from matching.windows import Window

__all__ = ["SiteName", "read_coverages", "read_picture", "read_sites"]

_READ_ONLY = text("set transaction read only")
_DAY = timedelta(days=1)
_NOW = text("select now()")
_STAYS = text("""
    select a.need_id, a.offer_id, a.people, a.distance_km, a.created_at, a.state = 'arrived' as arrived,
           array_agg(s.id order by s.starts) as slots
      from allocation a
      join allocation_slot k on k.allocation_id = a.id and k.taken
      join slot s on s.id = k.slot_id and s.ends > now()
     where a.need_id = any(cast(:needs as uuid[])) and a.state in ('held', 'confirmed', 'arrived')
     group by a.id order by a.created_at, a.id
""")
_SITES_OF = text("""
    select o.id, o.site_id, h.staffing_skill as skill, coalesce(h.staffing_people_per_volunteer, 1) as each,
           coalesce(h.staffing_minimum, 0) as minimum
      from offer o join site h on h.id = o.site_id where o.id = any(cast(:offers as uuid[]))
""")
_ROOMS = text("""
    select s.id, s.used, coalesce(g.places, s.capacity) as places, coalesce(g.kept, 0) as kept
      from slot s left join slot_staffing g on g.slot_id = s.id
     where s.offer_id = any(cast(:offers as uuid[])) and s.ends > now()
""")
_PLEDGES = text(f"""
    select {columns(PledgeRow, "p")}, array(select x.slot_id from shift x
                       where x.pledge_id = p.id and x.slot_id is not null and x.ends > now()
                         and (x.state = 'declined' or x.at_risk_at is not null)) as declined
      from pledge p where p.state = 'open' and p.last_day >= current_date - 1 order by p.id
""")
_TURNS = text(
    "select pledge_id, day, starts, ends from pledge_turn where ends > now() and starts < :before order by starts"
)
_SHIFTS = text("""
    select pledge_id, slot_id, starts, ends, day, volunteers, state in ('planned', 'confirmed') as live
      from shift
     where state in ('planned', 'confirmed', 'completed') and ends > now() - interval '8 days' and starts < :before
     order by starts, id
""")
_ORIGINS = text("""
    select n.id, n.town_id, n.max_km, home.cell, coalesce(n.searched_town_id, n.town_id) as searched_town_id,
           array(select r.to_town_id from referral r
                  where r.need_id = n.id
                    and (r.state in ('accepted', 'placed', 'returned', 'declined')
                         or (r.state = 'expired'
                             and r.ended_at > now() - make_interval(mins => :ask_again_minutes)))) as tried,
           (select count(*) from referral r
             where r.need_id = n.id and r.state in ('accepted', 'placed', 'returned')) as accepted
      from need n join town home on home.id = n.town_id
     where n.id = any(cast(:needs as uuid[]))
       and not exists (select from referral r where r.need_id = n.id and r.state = 'offered')
""")
_PASSAGES = text(f"""
    select p.id, v.categories, v.crosses_border, v.acceptance, side.*, away.name, away.cell, away.country,
           away.population, away.country <> here.country as abroad,
           coalesce((select jsonb_object_agg(cast(w.week as text), w.people) from pact_week w
                      where w.pact_id = p.id and w.to_town_id = side.to_town_id
                        and w.week >= current_date - 7), '{{}}') as used
      from pact p
      join town home on home.id = p.proposer_town_id
     cross join lateral ({IN_FORCE}) v
     cross join lateral (
         values (p.proposer_town_id, p.partner_town_id, v.to_partner_per_week),
                (p.partner_town_id, p.proposer_town_id, v.to_proposer_per_week)
     ) side (from_town_id, to_town_id, per_week)
      join town away on away.id = side.to_town_id
      join town here on here.id = side.from_town_id
     order by p.created_at, p.id, side.to_town_id
""")
_SITES = text("select id, name, town_id from site order by name, id")
_COVERAGES = text("select code, coverage from category")


@dataclass(frozen=True, slots=True)
class SiteName:
    """What a site is called."""

    id: UUID
    name: str
    town_id: int


async def read_picture(tx: AsyncConnection, nights: int, limit: int) -> Picture:
    """The next nights as they are now; to be read within one snapshot, which can write nothing from here on."""
    await tx.execute(_READ_ONLY)
    now: datetime = (await tx.execute(_NOW)).scalar_one()
    policy = await policies.in_force(tx)
    found = await seekers.living(tx, policy, now + nights * _DAY, limit)
    stays: defaultdict[UUID, list[Stay]] = defaultdict(list)
    for row in await tx.execute(_STAYS, {"needs": [each.seeker.need.id for each in found]}):
        stay = Stay(OfferId(row.offer_id), tuple(row.slots), row.people, row.distance_km, row.created_at, row.arrived)
        stays[row.need_id].append(stay)
    last = max([now + nights * _DAY, *(each.seeker.need.window.ends for each in found)]) + _DAY
    by_night = {code for code, rule in (await read_coverages(tx)).items() if rule is Coverage.EVERY}
    offers = [each for each in await surroundings.offers_between(tx, now, last) if each.category in by_night]
    origins = await _origins(tx, [each.seeker.need.id for each in found], policy)
    guests, in_projects = (
        tuple(
            _guest(each, tuple(stays[each.seeker.need.id]), origins.get(each.seeker.need.id))
            for each in found
            if each.seeker.need.days and each.seeker.in_project is together
        )
        for together in (False, True)
    )
    return Picture(
        now=now,
        policy=policy,
        guests=guests,
        houses=await _houses(tx, offers),
        volunteers=await _volunteers(tx, last),
        shifts=tuple(
            Serving(row.pledge_id, row.slot_id, Window(row.starts, row.ends), row.day, row.volunteers, row.live)
            for row in await tx.execute(_SHIFTS, {"before": last})
        ),
        passages=tuple(_passage(row) for row in await tx.execute(_PASSAGES)),
        in_projects=in_projects,
    )


async def _origins(tx: AsyncConnection, need_ids: Sequence[NeedId], policy: Policy) -> dict[NeedId, Origin]:
    """Where needs come from; but for those of which a partner is asked already."""
    values = {"needs": list(need_ids), "ask_again_minutes": policy.ask_again_minutes}
    return {
        NeedId(row.id): Origin(
            town_id=row.town_id,
            cell=Cell(row.cell),
            max_km=row.max_km,
            searched_town_id=row.searched_town_id,
            tried=frozenset(row.tried),
            accepted=row.accepted,
        )
        for row in await tx.execute(_ORIGINS, values)
    }


def _passage(row: Row[tuple[object, ...]]) -> Passage:
    values = row._mapping
    return Passage(
        pact_id=values["id"],
        from_town_id=values["from_town_id"],
        to_town_id=values["to_town_id"],
        town=values["name"],
        cell=Cell(values["cell"]),
        country=values["country"],
        inhabitants=values["population"],
        abroad=values["abroad"],
        categories=frozenset(values["categories"]),
        crosses_border=values["crosses_border"],
        acceptance=Acceptance(values["acceptance"]),
        per_week=values["per_week"],
        used={date.fromisoformat(monday): people for monday, people in values["used"].items()},
    )


def _guest(found: InPool, stays: tuple[Stay, ...], origin: Origin | None) -> Guest:
    need = found.seeker.need
    # A party that loses its place may find it again; another part of one that is spread goes elsewhere.
    had = frozenset() if need.divisible else frozenset(stay.offer_id for stay in stays)
    need = replace(need, turned_down=need.turned_down - had)
    return Guest(need, found.waited / timedelta(hours=1), found.seeker.people_left, stays, origin)


async def read_sites(tx: AsyncConnection) -> list[SiteName]:
    """Every site, by name."""
    return [SiteName(row.id, row.name, row.town_id) for row in await tx.execute(_SITES)]


async def read_coverages(tx: AsyncConnection) -> dict[str, Coverage]:
    """The coverage rule of every category."""
    return {row.code: Coverage(row.coverage) for row in await tx.execute(_COVERAGES)}


async def _houses(tx: AsyncConnection, offers: list[Offer]) -> tuple[House, ...]:
    ids = [offer.id for offer in offers]
    sites = {row.id: row for row in await tx.execute(_SITES_OF, {"offers": ids})}
    rooms = {row.id: row for row in await tx.execute(_ROOMS, {"offers": ids})}
    return tuple(
        House(
            offer=offer,
            site_id=sites[offer.id].site_id,
            skill=sites[offer.id].skill,
            each=sites[offer.id].each,
            minimum=sites[offer.id].minimum,
            rooms={
                slot.id: Room(slot.id, slot.window, rooms[slot.id].places, rooms[slot.id].used, rooms[slot.id].kept)
                for slot in offer.slots
            },
        )
        for offer in offers
    )


async def _volunteers(tx: AsyncConnection, before: datetime) -> tuple[Volunteers, ...]:
    turns: defaultdict[UUID, list[Session]] = defaultdict(list)
    for row in await tx.execute(_TURNS, {"before": before}):
        day: date = row.day
        turns[row.pledge_id].append(Session(day, row.starts, row.ends, row.ends))
    return tuple(
        Volunteers(
            pledge_id=row.id,
            organization_id=row.organization_id,
            skill=row.skill,
            headcount=row.headcount,
            weekly=row.shifts_per_week_max,
            cell=Cell(row.cell),
            radius_km=row.radius_km,
            turns=tuple(turns[row.id]),
            declined=frozenset(row.declined),
        )
        for row in await tx.execute(_PLEDGES)
    )
