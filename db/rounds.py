"""Rounds: what is decided together is carried out here, piece by piece, and written down with its proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import events, holds, takings
from db.markets import Market
from geo.cells import Cell
from geo.distance import Kilometres
from geo.territories import Territory
from matching.assign import Candidate, Cost, Decision, Way
from matching.engine.problem import Floats
from matching.fairness import association_km, town_km
from matching.policy import Policy
from matching.preferring import minutes_of, preference_km, time_km
from matching.rounds import Exchange, Step
from matching.vocabulary import MoveCause

__all__ = [
    "Done",
    "Overtaken",
    "Pace",
    "RoundFacts",
    "carry_out",
    "has_rested",
    "keep",
    "next_number",
    "place_all",
    "set_prices",
    "take_turn",
]

_TURN = text("select pg_try_advisory_xact_lock(cell) from unnest(cast(:cells as bigint[])) as cell")
_RESTED = text("""
    select coalesce(max(decided_at + make_interval(secs => greatest(:beat, (1 + :rest) * seconds))) <= now(), true)
      from round
     where territory = :territory and decided_at > now() - interval '1 day'
""")
# It waits while the round thinks and acts elsewhere; it has no snapshot and holds nothing but its turn.
_UNHURRIED = text("set local idle_in_transaction_session_timeout = 0")
_LOCK_NEEDS = text("""
    select id, version from need where id = any(cast(:ids as uuid[])) order by id for update
""")
_SAME_PRICE = 0.05
"""Kilometres by which a price may differ from the one that stands."""
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
    insert into round (id, territory, policy_version, needs, offers, pairs, placed, moved, lost, objective, bound,
                       method, seconds)
    overriding system value
    values (:id, :territory, :policy_version, :needs, :offers, :pairs, :placed, :moved, :lost, :objective, :bound,
            :method, :seconds)
""")
_CAUSES = {Way.NEARER: MoveCause.NEARER, Way.PREFERRED: MoveCause.PREFERRED}
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
class Pace:
    """How often a territory is decided: seconds from one beginning to the next, and the rest after each.

    `rest` is in times as long as the round took.
    """

    beat: float
    rest: float


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


async def take_turn(tx: AsyncConnection, territory: Territory) -> bool:
    """Whether this transaction is the only one that decides anything in the territory, until it ends.

    Its cells are locked one by one, the first alone: of two that come at the same time one goes on.
    """
    await tx.execute(_UNHURRIED)
    for cells in ([territory.number], list(territory.cells)):
        if not all((await tx.execute(_TURN, {"cells": cells})).scalars()):
            return False
    return True


async def has_rested(tx: AsyncConnection, territory: Territory, pace: Pace) -> bool:
    """Whether the territory may be decided again."""
    values = {"territory": territory.number, "beat": pace.beat, "rest": pace.rest}
    return bool((await tx.execute(_RESTED, values)).scalar_one())


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
    offers |= {market.terms[step.leaves].offer_id for step in steps if step.leaves is not None}
    slots = {slot for candidate in candidates.values() for slot in candidate.slots}
    await holds.lock_places(tx, offers, slots, leaving.values())
    tentative = {step: await _let_go(tx, market, step, allocation_id) for step, allocation_id in leaving.items()}
    placed: list[Step] = []
    lost: list[Step] = []
    for step in sorted(steps, key=lambda step: step not in leaving):
        seeker = market.needs[step.need].seeker
        decision = Decision(exchange.way_of(step, policy), _cost(market, step, policy), round_id)
        made = await holds.take(tx, seeker, candidates[step], step.people, policy, tentative.get(step), decision)
        if made is None and step in leaving:
            raise Overtaken
        if made is not None and step in leaving:
            await _tell_of_the_move(tx, market, step, (leaving[step], made), decision.way)
        (placed if made else lost).append(step)
    return Done(
        placed=tuple(_need_id(market, step) for step in placed if step not in leaving),
        moved=tuple(_need_id(market, step) for step in placed if step in leaving),
        lost=tuple(_need_id(market, step) for step in lost),
    )


async def place_all(tx: AsyncConnection, market: Market, steps: Sequence[Step], policy: Policy, round_id: int) -> Done:
    """Place many who have no place yet, each as if alone: what changed or was taken meanwhile is lost to that need."""
    wanted = await _still_as_they_were(tx, market, steps)
    made = await takings.take_all(
        tx,
        [
            takings.Taking(
                market.needs[step.need].seeker,
                _candidate(market, step),
                step.people,
                Decision(Way.ROUND, _cost(market, step, policy), round_id),
            )
            for step in sorted(wanted, key=lambda step: (market.needs[step.need].seeker.need.urgency.tier, step.need))
        ],
        policy,
    )
    placed = {taking.seeker.need.id for taking in made}
    return Done(placed=tuple(placed), lost=tuple({_need_id(market, step) for step in wanted} - placed))


async def set_prices(tx: AsyncConnection, market: Market, prices: Floats, policy: Policy) -> None:
    """Let the slots of a market carry these prices from now on: (offers, nights) kilometres, 0 where there is none."""
    changed = np.abs(prices - market.prices) > _SAME_PRICE
    where = np.nonzero((market.slots > 0) & (changed | (prices > 0)))
    if len(where[0]):
        refresh = timedelta(hours=policy.price_hours) / _REFRESHED
        values = {"slots": market.slots[where].tolist(), "prices": prices[where].tolist(), "refresh": refresh}
        await tx.execute(_PRICES, values)


async def keep(tx: AsyncConnection, round_id: int, territory: Territory, facts: RoundFacts) -> None:
    """Write a round down under the number that its allocations name."""
    values = {name: getattr(facts, name) for name in RoundFacts.__slots__}
    await tx.execute(_KEEP, {"id": round_id, "territory": territory.number, **values})


async def _still_as_they_were(tx: AsyncConnection, market: Market, steps: Sequence[Step]) -> list[Step]:
    ids = sorted({_need_id(market, step) for step in steps})
    now = {row.id: row.version for row in await tx.execute(_LOCK_NEEDS, {"ids": ids})}
    return [step for step in steps if now.get(_need_id(market, step)) == market.needs[step.need].seeker.version]


async def _let_go(tx: AsyncConnection, market: Market, step: Step, allocation_id: UUID) -> timedelta:
    """End a tentative hold: how long it would have stayed one. Raises `Overtaken` when it is firm by now."""
    left = await holds.leave_tentative(tx, allocation_id, _need_id(market, step))
    if left is None:
        raise Overtaken
    return left


async def _tell_of_the_move(
    tx: AsyncConnection, market: Market, step: Step, allocations: tuple[UUID, UUID], way: Way
) -> None:
    """Say to the poster that, and why, their party has another place: `allocations` are the old and the new."""
    facts = {"need_id": str(_need_id(market, step)), "left": str(allocations[0])}
    why = _CAUSES.get(way, MoveCause.MAKES_ROOM)
    poster = market.needs[step.need].seeker.organization_id
    await events.record(tx, "allocation.moved", allocations[1], [poster], because=why, **facts)


def _candidate(market: Market, step: Step) -> Candidate:
    terms, wish = market.terms[step.offer], market.wishes[step.need]
    nights = slice(wish.first_night, wish.last_night + 1)
    return Candidate(
        offer_id=terms.offer_id,
        slots=tuple(market.slots[step.offer, nights].tolist()),
        free=int(market.stalls.free[step.offer, nights].min()),
        capacity=0,
        distance=Kilometres(step.km),
        tie=terms.tie,
        version=terms.version,
        minutes=minutes_of(wish.need.cell, _cell(market, step), market.routed),
    )


def _cost(market: Market, step: Step, policy: Policy) -> Cost:
    """What a round weighs of a place: the way, what its hosts carry, and what its people said."""
    terms, need, cell = market.terms[step.offer], market.wishes[step.need].need, _cell(market, step)
    provides = market.stalls.kinds[int(market.stalls.kind[step.offer])].provides
    return Cost(
        travel=float(step.km),
        load=0.0,
        town=town_km(terms.town_load, policy),
        association=association_km(terms.association_load, policy),
        time=time_km(minutes_of(need.cell, cell, market.routed), policy),
        preference=preference_km(need, cell, provides, policy),
    )


def _cell(market: Market, step: Step) -> Cell:
    return Cell(int(market.stalls.cell[step.offer]))


def _need_id(market: Market, step: Step) -> UUID:
    return market.needs[step.need].seeker.need.id
