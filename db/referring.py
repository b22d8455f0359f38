"""Referring: which needs are to be passed on, the pacts there are for them, and asking the best partner.

Nothing is offered to a town that has nothing: before a partner is asked, the search for places is made around it, and
its week is counted by one guarded update. Nothing here commits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import candidates, events, needs, pact_weeks, policies, referrals, seekers
from db.pact_facts import IN_FORCE
from db.pact_weeks import MONDAY, Week
from db.roles import Role, acting_as
from geo.cells import Cell
from geo.distance import kilometres_between
from matching.needs import Need
from matching.policy import Policy
from matching.referring import MOST_STEPS, Partner, failure, in_order, there
from matching.refusals import CannotRefer, Conflict, Invalid, NotFound
from matching.rules import Failure
from matching.states import SEEKING, NeedState
from matching.vocabulary import Acceptance

__all__ = ["Option", "ask", "claim", "due", "options", "postpone", "reasons", "refer"]


@dataclass(frozen=True, slots=True)
class Option:
    """A partner, and what stands in the way of asking it; nothing where it fits."""

    partner: Partner
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class _Asking:
    """A need as pacts are tried for it: its own limit from its own town, and how often towns accepted it before."""

    need: Need
    town_id: int
    searched_town_id: int
    home: Cell
    steps: int
    now: datetime
    poster_id: UUID
    requires: tuple[str, ...]
    """As it was posted: what its people added on their slip is looked for and not told."""
    whole: bool
    """Whether nobody of it has a place."""


_OF_NEED = """
    n.id, n.tier, n.urgency, n.posted_at, n.starts, n.ends, n.fruitless, n.refer_at, n.category, n.pathway_id,
    n.project_id
"""
# The steps of a pathway are looked for around its bed, wherever that is.
_FOLLOWS_ITS_BED = """
    n.pathway_id is not null and not exists (select from category c where c.code = n.category and c.coverage = 'every')
"""
# Towns without a pact are passed over at once; and who was never looked for a place in vain may find one at home.
_DUE = text(f"""
    with towns as materialized (
        select proposer_town_id as id from pact where state = 'signed'
        union select partner_town_id from pact where state = 'signed'
    ), waiting as (
        select {_OF_NEED} from need n
         where n.state in ('open', 'unmet') and n.parked_at is null and coalesce(n.ended_at, 'infinity') = 'infinity'
           and n.town_id in (select id from towns)
        union all
        select {_OF_NEED} from referral r join need n on n.id = r.need_id
         where r.state in ('accepted', 'placed') and n.state = 'referred' and n.parked_at is null
           and r.to_town_id in (select id from towns)
    )
    select n.id from waiting n
     where n.fruitless > 0 and n.ends > now() and n.starts <= now() + cast(:ahead as interval)
       and n.project_id is null and not ({_FOLLOWS_ITS_BED})
       -- The way from a town is that town's to see to.
       and not exists (select from ride where ride.need_id = n.id)
       and coalesce(n.refer_at, n.posted_at + make_interval(mins => case n.urgency
           when 'vital' then cast(:vital as int) when 'high' then cast(:high as int) else cast(:normal as int) end))
           <= now()
       and not exists (select from referral r where r.need_id = n.id and r.state = 'offered')
       and (select count(*) from referral r
             where r.need_id = n.id and r.state in ('accepted', 'placed', 'returned')) < {MOST_STEPS}
     order by n.tier, n.posted_at
     limit :limit
""")
_CLAIM = text("""
    select id from need
     where id = :id and state in ('open', 'unmet', 'referred') and parked_at is null and ended_at is null
       for update skip locked
""")
_WAITS = text("select exists (select from referral where need_id = :id and state = 'offered')")
_ASKING = text("""
    select n.town_id, coalesce(n.searched_town_id, n.town_id) as searched_town_id, home.cell, n.requires,
           least(n.max_km, (select w.most_km from preference w where w.need_id = n.id)) as max_km,
           (select count(*) from referral r
             where r.need_id = n.id and r.state in ('accepted', 'placed', 'returned')) as steps
      from need n join town home on home.id = n.town_id where n.id = :id
""")
_PARTNERS = text(f"""
    select p.id as pact_id, v.number, v.categories, v.crosses_border, v.acceptance, v.answer_within_minutes, side.*,
           away.name as town, away.cell, away.country, away.population, away.country <> here.country as abroad,
           weeks.monday, coalesce(w.people, 0) as used,
           (select coalesce(sum(x.people), 0) from pact_week x
             where x.to_town_id = side.to_town_id and x.week = weeks.monday) as carried,
           exists (select from referral r
                    where r.need_id = :need and r.to_town_id = side.to_town_id
                      and (r.state in ('accepted', 'placed', 'returned', 'declined')
                           or (r.state = 'expired'
                               and r.ended_at > now() - make_interval(mins => :ask_again_minutes)))) as asked
      from pact p
      join town home on home.id = p.proposer_town_id
     cross join lateral ({IN_FORCE}) v
     cross join lateral (
         select p.proposer_id as from_id, p.partner_id as to_id, p.partner_town_id as to_town_id,
                v.to_partner_per_week as per_week
          where p.proposer_town_id = :town
         union all
         select p.partner_id, p.proposer_id, p.proposer_town_id, v.to_proposer_per_week
          where p.partner_town_id = :town) side
      join town away on away.id = side.to_town_id
      join town here on here.id = :town
     cross join lateral (select {MONDAY} as monday) weeks
      left join pact_week w on w.pact_id = p.id and w.to_town_id = side.to_town_id and w.week = weeks.monday
     order by p.created_at, p.id
""")
_OFFER = text("""
    insert into referral (id, need_id, pact_id, number, poster_id, from_id, from_town_id, to_id, to_town_id, step,
                          distance_km, week, category, adults, minors, audience, requires, starts, ends, state,
                          answer_by)
    values (:id, :need, :pact, :number, :poster, :from_id, :from_town, :to_id, :to_town, :step, :km, :week, :category,
            :adults, :minors, cast(:audience as text[]), cast(:requires as text[]), :starts, :ends, 'offered',
            least(clock_timestamp() + make_interval(mins => :minutes), :ends))
""")
_POSTPONE = text("update need set refer_at = now() + make_interval(secs => :seconds) where id = :id")
_FOLLOWS = text(f"select exists (select from need n where n.id = :id and {_FOLLOWS_ITS_BED})")
_OWN_PACT = text("select id from pact where id = :id and :organization in (proposer_id, partner_id)")


async def due(tx: AsyncConnection, policy: Policy, limit: int) -> Sequence[UUID]:
    """Needs that were looked for a place in vain for long enough, in towns with pacts; the most urgent first."""
    after = policy.refer_after_minutes
    values = {"vital": after["vital"], "high": after["high"], "normal": after["normal"]}
    return (await tx.execute(_DUE, values | {"ahead": policy.refer_ahead, "limit": limit})).scalars().all()


async def claim(tx: AsyncConnection, need_id: UUID) -> bool:
    """Lock a need that still lacks a place and of which no partner is asked; not one that somebody is at."""
    if (await tx.execute(_CLAIM, {"id": need_id})).one_or_none() is None:
        return False
    return not (await tx.execute(_WAITS, {"id": need_id})).scalar_one()


async def refer(tx: AsyncConnection, need_id: UUID, policy: Policy, only: UUID | None = None) -> list[Option] | None:
    """Ask the best partner for a need that the caller has locked; where it agreed beforehand, it has accepted.

    `None` once one was asked, else the partners with what stood in the way of each. `only` names the one pact to try.
    """
    asking = await _asking(tx, need_id, policy)
    found = [each for each in await _partners(tx, asking, policy) if only in (None, each.partner.pact_id)]
    if asking.steps >= MOST_STEPS or not asking.whole:
        return [Option(each.partner, Failure("chain")) for each in found]
    refused = {each.partner: each for each in found}
    fitting = [each.partner for each in found if each.failure is None]
    for partner in in_order(fitting, asking.need.people.count):
        if not await _has_room(tx, asking, partner, policy):
            refused[partner] = Option(partner, Failure("free"))
        elif not await pact_weeks.take(tx, _week(partner), asking.need.people.count, partner.per_week):
            refused[partner] = Option(partner, Failure("week", (("left", 0), ("most", partner.per_week))))
        else:
            await _offer(tx, asking, partner, policy)
            return None
    return list(refused.values())


async def ask(tx: AsyncConnection, need_id: UUID, organization_id: UUID, pact_id: UUID | None) -> None:
    """Refer a need now, as its organization asks: under this pact of its own, or under any there is for its town.

    Raises `NotFound`, also for a pact that is not its own; `Invalid` for one that is not in force there; `Conflict`
    where people of the need have a place, a partner is asked already, or it is a pathway's step and follows the bed;
    `CannotRefer` with the rule in the way.
    """
    need = await needs.lock(tx, need_id, organization_id)
    if need.project_id is not None:
        raise Conflict("part_of_project", need.state)
    if need.state not in SEEKING:
        ended = need.state in (NeedState.WITHDRAWN, NeedState.CLOSED)
        raise Conflict("need_has_ended" if ended else "has_a_place_already", need.state)
    if need.pathway_id is not None and (await tx.execute(_FOLLOWS, {"id": need_id})).scalar_one():
        raise Conflict("follows_its_bed", need.state)
    own = {"id": pact_id, "organization": organization_id}
    if pact_id is not None and (await tx.execute(_OWN_PACT, own)).one_or_none() is None:
        raise NotFound
    async with acting_as(tx, Role.MATCHER):
        if (await tx.execute(_WAITS, {"id": need_id})).scalar_one():
            raise Conflict("referral_is_waiting", need.state)
        policy = await policies.in_force(tx)
        asking = await _asking(tx, need_id, policy)
        if not asking.whole:
            raise Conflict("has_a_place_already", need.state)
        if asking.need.window.ends <= asking.now:
            raise Conflict("need_has_ended", need.state)
        refused = await refer(tx, need_id, policy, pact_id)
    if refused is None:
        return
    if not refused and pact_id is not None:
        raise Invalid.one("/pact_id", "unknown_pact")
    raise CannotRefer(next((each.failure.rule for each in refused if each.failure), "none"))


async def options(tx: AsyncConnection, need_id: UUID, policy: Policy) -> list[Option]:
    """The partners of the town where a need is looked after now, with what stands in the way; nothing is changed.

    Asked across organizations: as the matcher.
    """
    asking = await _asking(tx, need_id, policy)
    found = await _partners(tx, asking, policy)
    if asking.steps >= MOST_STEPS:
        return [Option(each.partner, each.failure or Failure("chain")) for each in found]
    told = []
    for each in found:
        lacking = each.failure is None and not await _has_room(tx, asking, each.partner, policy)
        told.append(Option(each.partner, Failure("free")) if lacking else each)
    return told


async def reasons(tx: AsyncConnection, need_id: UUID, policy: Policy) -> dict[str, int]:
    """Why no partner takes a need, counted by rule (`pact_week`: 1); empty where its town has no pact in force."""
    found = await options(tx, need_id, policy)
    return dict(sorted(Counter(f"pact_{each.failure.rule}" for each in found if each.failure).items()))


async def postpone(tx: AsyncConnection, need_id: UUID, seconds: int = 60) -> None:
    """No partner can take a need now: pacts are tried again after so long."""
    await tx.execute(_POSTPONE, {"id": need_id, "seconds": seconds})


async def _asking(tx: AsyncConnection, need_id: UUID, policy: Policy) -> _Asking:
    seeker = await seekers.read_seeker(tx, need_id, policy)
    row = (await tx.execute(_ASKING, {"id": need_id})).one()
    return _Asking(
        need=replace(seeker.need, max_km=row.max_km),
        town_id=row.town_id,
        searched_town_id=row.searched_town_id,
        home=Cell(row.cell),
        steps=row.steps,
        now=seeker.now,
        poster_id=seeker.organization_id,
        requires=tuple(row.requires),
        whole=seeker.people_left == seeker.need.people.count,
    )


async def _partners(tx: AsyncConnection, asking: _Asking, policy: Policy) -> list[Option]:
    values = {
        "need": asking.need.id,
        "town": asking.searched_town_id,
        "starts": asking.need.window.starts,
        "ask_again_minutes": policy.ask_again_minutes,
    }
    partners = [_partner(asking, row) for row in await tx.execute(_PARTNERS, values)]
    return [Option(each, failure(asking.need, each, policy)) for each in partners]


async def _has_room(tx: AsyncConnection, asking: _Asking, partner: Partner, policy: Policy) -> bool:
    return bool(await candidates.find(tx, there(asking.need, partner), policy, asking.now))


async def _offer(tx: AsyncConnection, asking: _Asking, partner: Partner, policy: Policy) -> None:
    need, referral_id = asking.need, uuid4()
    await tx.execute(
        _OFFER,
        {
            "id": referral_id,
            "need": need.id,
            "pact": partner.pact_id,
            "number": partner.number,
            "poster": asking.poster_id,
            "from_id": partner.from_id,
            "from_town": partner.from_town_id,
            "to_id": partner.to_id,
            "to_town": partner.town_id,
            "step": asking.steps + 1,
            "km": partner.km,
            "week": partner.monday,
            "category": need.category,
            "adults": need.people.adults,
            "minors": need.people.minors,
            "audience": sorted(need.audience),
            "requires": sorted(asking.requires),
            "starts": need.window.starts,
            "ends": need.window.ends,
            "minutes": partner.answer_within_minutes,
        },
    )
    if partner.acceptance is Acceptance.STANDING:
        await referrals.agree(tx, referral_id, policy)
        return
    sides = [asking.poster_id, partner.from_id, partner.to_id]
    await events.record(tx, "referral.offered", referral_id, sides, pact_id=str(partner.pact_id))


def _partner(asking: _Asking, row: Row[tuple[object, ...]]) -> Partner:
    values = row._mapping
    cell = Cell(values["cell"])
    return Partner(
        pact_id=values["pact_id"],
        number=values["number"],
        from_id=values["from_id"],
        from_town_id=asking.searched_town_id,
        to_id=values["to_id"],
        town_id=values["to_town_id"],
        town=values["town"],
        cell=cell,
        country=values["country"],
        inhabitants=values["population"],
        abroad=values["abroad"],
        km=kilometres_between(asking.home, cell),
        asked=values["asked"] or values["to_town_id"] == asking.town_id,
        categories=frozenset(values["categories"]),
        crosses_border=values["crosses_border"],
        acceptance=Acceptance(values["acceptance"]),
        answer_within_minutes=values["answer_within_minutes"],
        monday=values["monday"],
        per_week=values["per_week"],
        used=values["used"],
        carried=int(values["carried"]),
    )


def _week(partner: Partner) -> Week:
    return Week(partner.pact_id, partner.town_id, partner.monday)
