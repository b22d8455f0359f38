"""Rounds: what is decided together is carried out here, piece by piece, and written down with its proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds
from db.markets import Market
from geo.distance import Kilometres
from matching.assign import Candidate, Cost, Decision
from matching.fairness import association_km, town_km
from matching.policy import Policy
from matching.rounds import Exchange, Step
from matching.vocabulary import MoveReason

__all__ = ["Done", "Overtaken", "RoundFacts", "carry_out", "keep", "next_number", "set_prices", "take_turn"]

_TURN = text("select pg_try_advisory_xact_lock(:number)")
# It waits while the round thinks and acts elsewhere; it has no snapshot and holds nothing but its turn.
_UNHURRIED = text("set local idle_in_transaction_session_timeout = 0")
_ROUND = 7_267_133
"""Number of the advisory lock of rounds."""
_LOCK_NEEDS = text("""
    select id, version from need where id = any(cast(:ids as uuid[])) order by id for update
""")
_LOCK_OFFERS = text("select id from offer where id = any(cast(:ids as uuid[])) order by id for key share")
_LOCK_SLOTS = text("""
    select id from slot
     where id = any(cast(:ids as bigint[])
                    || array(select slot_id from allocation_slot
                              where allocation_id = any(cast(:allocations as uuid[]))))
     order by id for update
""")
_LET_GO = text("""
    update allocation
       set state = 'released', reason = :reason, ended_at = clock_timestamp(), version = version + 1
     where id = :id and state = 'held' and firm_from > clock_timestamp()
    returning provider_id, poster_id, firm_from - now() as tentative
""")
# A price that stays is dated anew now and then, not by every round: each dating is a version of the row.
_PRICES = text("""
    with new as (
        select * from unnest(cast(:slots as bigint[]), cast(:prices as real[])) as new (id, price)
    ), changed as materialized (
        select slot.id, new.price from slot join new using (id)
         where slot.price is distinct from new.price
            or (new.price > 0 and (slot.priced_at < now() - cast(:refresh as interval)) is not false)
         order by slot.id for update of slot
    )
    update slot set price = changed.price, priced_at = now() from changed where slot.id = changed.id
""")


_NEXT = text("select nextval(pg_get_serial_sequence('round', 'id'))")
_KEEP = text("""
    insert into round (id, policy_version, needs, offers, pairs, placed, moved, lost, objective, bound, method, seconds)
    overriding system value
    values (:id, :policy_version, :needs, :offers, :pairs, :placed, :moved, :lost, :objective, :bound, :method,
            :seconds)
""")
_REFRESHED = 10
"""How often a price is dated anew in the time for which it counts."""


class Overtaken(Exception):  # noqa: N818 - a turn of events, not a mistake
    """Somebody was faster: nothing of this exchange is done."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an exchange: the needs placed anew, moved, and planned but overtaken."""

    placed: tuple[UUID, ...] = ()
    moved: tuple[UUID, ...] = ()
    lost: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """A round as it is written down; see the table."""

    policy_version: int
    needs: int
    offers: int
    pairs: int
    placed: int
    moved: int
    lost: int
    objective: float
    bound: float
    method: str
    seconds: float


async def next_number(tx: AsyncConnection) -> int:
    """The number under which the round in hand will be written down."""
    return int((await tx.execute(_NEXT)).scalar_one())


async def take_turn(tx: AsyncConnection) -> bool:
    """Whether this transaction is the only one that decides a round, until it ends."""
    await tx.execute(_UNHURRIED)
    return bool((await tx.execute(_TURN, {"number": _ROUND})).scalar_one())


async def carry_out(tx: AsyncConnection, market: Market, exchange: Exchange, policy: Policy, round_id: int) -> Done:
    """Do an exchange: who moves lets go first, then each takes their new place.

    All is locked in the house's order before anything is let go of. A need that changed since the market was read is
    left out; a place taken meanwhile is lost to who was to have it. Raises `Overtaken` when that was somebody who had
    let go of another: they keep what they had, and the transaction is to be rolled back.
    """
    steps = await _still_as_they_were(tx, market, exchange.steps)
    candidates = {step: _candidate(market, step) for step in steps}
    leaving = {step: held.allocation_id for step in steps if (held := market.needs[step.need].held) is not None}
    offers = {candidate.offer_id for candidate in candidates.values()}
    offers |= {market.stalls[step.leaves].offer_id for step in steps if step.leaves is not None}
    await tx.execute(_LOCK_OFFERS, {"ids": sorted(offers)})
    slots = sorted({slot for candidate in candidates.values() for slot in candidate.slots})
    await tx.execute(_LOCK_SLOTS, {"ids": slots, "allocations": list(leaving.values())})
    tentative = {step: await _let_go(tx, market, step, allocation_id) for step, allocation_id in leaving.items()}
    placed: list[Step] = []
    lost: list[Step] = []
    for step in sorted(steps, key=lambda step: step not in leaving):
        seeker = market.needs[step.need].seeker
        decision = Decision(exchange.way_of(step, policy), _cost(market, step, policy), round_id)
        made = await holds.take(tx, seeker, candidates[step], step.people, policy, tentative.get(step), decision)
        if made is None and step in leaving:
            raise Overtaken
        (placed if made else lost).append(step)
    return Done(
        placed=tuple(_need_id(market, step) for step in placed if step not in leaving),
        moved=tuple(_need_id(market, step) for step in placed if step in leaving),
        lost=tuple(_need_id(market, step) for step in lost),
    )


async def set_prices(
    tx: AsyncConnection, market: Market, prices: Mapping[tuple[int, date], float], policy: Policy
) -> None:
    """Let the slots of a market carry these prices, by offer and night, from now on; 0 where there is none."""
    slots, values = [], []
    for number, stall in enumerate(market.stalls):
        for day, night in stall.nights.items():
            slots.append(night.slot_id)
            values.append(round(prices.get((number, day), 0.0), 1))
    refresh = timedelta(hours=policy.price_hours) / _REFRESHED
    await tx.execute(_PRICES, {"slots": slots, "prices": values, "refresh": refresh})


async def keep(tx: AsyncConnection, round_id: int, facts: RoundFacts) -> None:
    """Write a round down under the number that its allocations name."""
    await tx.execute(_KEEP, {"id": round_id} | {name: getattr(facts, name) for name in RoundFacts.__slots__})


async def _still_as_they_were(tx: AsyncConnection, market: Market, steps: Sequence[Step]) -> list[Step]:
    ids = sorted({_need_id(market, step) for step in steps})
    now = {row.id: row.version for row in await tx.execute(_LOCK_NEEDS, {"ids": ids})}
    return [step for step in steps if now.get(_need_id(market, step)) == market.needs[step.need].seeker.version]


async def _let_go(tx: AsyncConnection, market: Market, step: Step, allocation_id: UUID) -> timedelta:
    """End a tentative hold: how long it would have stayed one. Raises `Overtaken` when it is firm by now."""
    row = (await tx.execute(_LET_GO, {"id": allocation_id, "reason": MoveReason.BETTER_PLACE})).one_or_none()
    if row is None:
        raise Overtaken
    await holds.free_places(tx, allocation_id, whole=True)
    sides = (row.provider_id, row.poster_id)
    await events.record(tx, "allocation.released", allocation_id, sides, need_id=str(_need_id(market, step)))
    left: timedelta = row.tentative
    return left


def _candidate(market: Market, step: Step) -> Candidate:
    stall, days = market.stalls[step.offer], market.needs[step.need].seeker.need.days
    return Candidate(
        offer_id=stall.offer_id,
        slots=tuple(stall.nights[day].slot_id for day in days),
        free=min(stall.nights[day].free for day in days),
        capacity=0,
        distance=Kilometres(step.km),
        tie=stall.tie,
        version=stall.version,
    )


def _cost(market: Market, step: Step, policy: Policy) -> Cost:
    """What a round weighs of a place: the way, and what its hosts carry."""
    stall = market.stalls[step.offer]
    return Cost(
        travel=float(step.km),
        load=0.0,
        town=town_km(stall.town_load, policy),
        association=association_km(stall.association_load, policy),
    )


def _need_id(market: Market, step: Step) -> UUID:
    return market.needs[step.need].seeker.need.id
