"""Territories: parts of a problem that share no candidate, solved apart and put together exactly.

Needs and offers that a usable pair joins, directly or through others, are one territory (union-find over the pairs;
Tarjan 1975). No plan, price or bound of one depends on another, so the best plans together are the best plan, and the
sum of their bounds bounds it. Tiny ones are gathered into one parcel, so that each is worth the trouble of a solver.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from matching.engine.compiled import compiled
from matching.engine.problem import Certificate, Flags, Floats, Integers, Plan, Problem

__all__ = ["Parcel", "Parcels", "Territories", "cut", "gather", "put_together", "territories"]

Numbers: TypeAlias = npt.NDArray[np.int32]
"""Half as wide as the engine's: there may be tens of millions."""


@dataclass(frozen=True, slots=True)
class Territories:
    """Which territory everything lies in, the one with the most pairs first; -1 where no pair can be used."""

    of_need: Numbers
    """(n,)"""
    of_offer: Numbers
    """(m,)"""
    needs: Integers
    """(t,) how many needs each has."""
    pairs: Integers
    """(t,) how many usable pairs."""
    usable: Flags
    """(c,) whether a plan can use the pair."""


class Parcel(NamedTuple):
    """One or more whole territories: what is solved in one go. Numbers are those of the whole problem, rising."""

    needs: Integers
    offers: Integers
    pairs: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Parcels:
    """All parcels: what belongs to each stands side by side."""

    problem: Problem
    needs: Integers
    need_begin: Integers
    """(count + 1,) the needs of parcel p are `needs[need_begin[p]]` to `needs[need_begin[p + 1]]`."""
    offers: Integers
    offer_begin: Integers
    pairs: npt.NDArray[np.uint32]
    pair_begin: Integers
    place_of_need: Numbers
    """(n,) where each stands among its parcel's."""
    place_of_offer: Numbers
    """(m,)"""

    def __len__(self) -> int:
        return len(self.need_begin) - 1

    def __getitem__(self, number: int) -> Parcel:
        return Parcel(
            self.needs[self.need_begin[number] : self.need_begin[number + 1]],
            self.offers[self.offer_begin[number] : self.offer_begin[number + 1]],
            self.pairs[self.pair_begin[number] : self.pair_begin[number + 1]],
        )

    def part(self, number: int) -> Problem:
        """One of them as a problem of its own; needs and offers are numbered as they stand in it."""
        needs, offers, pairs = self[number]
        whole = self.problem
        return replace(
            whole,
            people=whole.people[needs],
            tier=whole.tier[needs],
            waited=whole.waited[needs],
            first_night=whole.first_night[needs],
            last_night=whole.last_night[needs],
            divisible=whole.divisible[needs],
            capacity=whole.capacity[offers],
            load=None if whole.load is None else replace(whole.load, taken=whole.load.taken[offers]),
            # The whole may be kept in half the width; the solvers take one kind of numbers.
            need=self.place_of_need[whole.need[pairs]].astype(np.int64),
            offer=self.place_of_offer[whole.offer[pairs]].astype(np.int64),
            km=whole.km[pairs].astype(np.float64),
        )


def territories(problem: Problem) -> Territories:
    """Find what hangs together by pairs that a plan can use."""
    needs, offers = len(problem.people), len(problem.capacity)
    nights = problem.last_night - problem.first_night + 1
    root = np.arange(needs + offers, dtype=np.int32)
    usable = np.zeros(len(problem.need), np.bool_)
    _join(
        problem.need,
        problem.offer,
        problem.km,
        np.asarray(problem.weights.tier)[problem.tier] * nights,
        problem.weights.km,
        np.where(problem.divisible, 1, problem.people),
        problem.first_night,
        problem.last_night,
        problem.capacity,
        root,
        usable,
    )
    pairs_at = _count(root, problem.need, usable)
    roots = np.flatnonzero(pairs_at)
    roots = roots[np.argsort(-pairs_at[roots], kind="stable")]
    number = np.full(needs + offers, -1, np.int32)
    number[roots] = np.arange(len(roots), dtype=np.int32)
    of_need = number[root[:needs]]
    count = np.bincount(of_need[of_need >= 0], minlength=len(roots)).astype(np.int64)
    return Territories(of_need, number[root[needs:]], count, pairs_at[roots], usable)


def gather(work: Floats, pairs: Integers, least: float, most_pairs: int) -> Integers:
    """(t,) the parcel of each territory: neighbours share one while it has less work than `least`, or few pairs.

    `work`: (t,) of each territory, in the unit of `least`; `most_pairs`: how many pairs a parcel may have all the same.
    """
    parcel = np.zeros(len(work), np.int64)
    number, gathered, width = -1, 0.0, 0
    for territory, (more, count) in enumerate(zip(work.tolist(), pairs.tolist(), strict=True)):
        if number < 0 or (gathered >= least and width + count > most_pairs):
            number, gathered, width = number + 1, 0.0, 0
        parcel[territory], gathered, width = number, gathered + more, width + count
    return parcel


def cut(problem: Problem, found: Territories, parcel: Integers) -> Parcels:
    """Cut the problem into the parcels that `gather` numbered."""
    count = int(parcel.max(initial=-1)) + 1
    needs, need_begin = _sorted(parcel, found.of_need, count)
    offers, offer_begin = _sorted(parcel, found.of_offer, count)
    pairs, pair_begin = _order(problem.need, found.usable, parcel, found.of_need, count)
    return Parcels(
        problem,
        needs,
        need_begin,
        offers,
        offer_begin,
        pairs,
        pair_begin,
        _places(needs, need_begin, len(found.of_need)),
        _places(offers, offer_begin, len(found.of_offer)),
    )


def put_together(problem: Problem, parts: Sequence[tuple[Parcel, Plan]]) -> Plan:
    """The plan of the whole: everything of it is the sum or the union of the parts'."""
    prices = np.zeros(problem.capacity.shape)
    for parcel, plan in parts:
        prices[parcel.offers] = plan.prices
    need = np.concatenate([parcel.needs[plan.need] for parcel, plan in parts] or [np.zeros(0, np.int64)])
    offer = np.concatenate([parcel.offers[plan.offer] for parcel, plan in parts] or [np.zeros(0, np.int64)])
    people = np.concatenate([plan.people for _, plan in parts] or [np.zeros(0, np.int64)])
    order = np.lexsort((offer, need))
    return Plan(
        need=need[order],
        offer=offer[order],
        people=people[order],
        objective=float(sum(plan.objective for _, plan in parts)),
        certificate=_sum([plan.certificate for _, plan in parts]),
        prices=prices,
        method="+".join(sorted({plan.method for _, plan in parts})) or "exact",
    )


def _sum(parts: Sequence[Certificate]) -> Certificate:
    """No plan of the whole is above the sum of what none of its parts' plans is above."""
    relaxed = [part.lp_bound for part in parts if part.lp_bound is not None]
    whole = len(relaxed) == len(parts)
    lp_bound = float(sum(relaxed))
    apart = sum(part.dual_error * part.lp_bound for part in parts if part.lp_bound is not None)
    whole_parties = any(part.knapsack_bound is not None for part in parts)
    tightest = sum(part.bound if part.knapsack_bound is None else part.knapsack_bound for part in parts)
    return Certificate(
        bound=float(sum(part.bound for part in parts)),
        lp_bound=lp_bound if whole else None,
        knapsack_bound=float(tightest) if whole_parties else None,
        dual_error=1.0 if not whole else apart / lp_bound if lp_bound > 0 else 0.0,
        most_served=_most_served(parts),
    )


def _most_served(parts: Sequence[Certificate]) -> tuple[float, ...] | None:
    known = [part.most_served for part in parts if part.most_served is not None]
    return tuple(map(sum, zip(*known, strict=True))) if known and len(known) == len(parts) else None


def _sorted(parcel: Integers, territory: Numbers, count: int) -> tuple[Integers, Integers]:
    """Numbers ordered by parcel, those of parcel p from `begin[p]`; without those that lie nowhere."""
    inside = np.flatnonzero(territory >= 0)
    at = parcel[territory[inside]]
    order = np.argsort(at, kind="stable")
    begin: Integers = np.searchsorted(at[order], np.arange(count + 1)).astype(np.int64)
    return inside[order], begin


def _places(ordered: Integers, begin: Integers, count: int) -> Numbers:
    place = np.zeros(count, np.int32)
    place[ordered] = np.arange(len(ordered)) - np.repeat(begin[:-1], np.diff(begin))
    return place


@compiled
def _join(
    need: Integers,
    offer: Integers,
    km: Floats,
    weight: Floats,
    km_weight: float,
    wanted: Integers,
    first: Integers,
    last: Integers,
    capacity: Integers,
    root: Numbers,
    usable: Flags,
) -> None:
    """Mark the pairs that can be used, and make `root` say for each need, then offer, whose territory it lies in."""
    needs = len(wanted)
    for pair in range(len(need)):
        asks, gives = need[pair], offer[pair]
        fits = weight[asks] > km_weight * km[pair]
        for night in range(first[asks], last[asks] + 1):
            fits = fits and capacity[gives, night] >= wanted[asks]
        if not fits:
            continue
        usable[pair] = True
        one, other = asks, needs + gives
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        while root[other] != other:
            root[other] = root[root[other]]
            other = root[other]
        if one < other:
            root[other] = one
        else:
            root[one] = other
    # Roots have lower numbers than what hangs on them, so that one pass upwards sees them first.
    for each in range(len(root)):
        root[each] = root[root[each]]


@compiled
def _count(root: Numbers, need: Integers, usable: Flags) -> Integers:
    """Usable pairs of each root."""
    count = np.zeros(len(root), np.int64)
    for pair in range(len(need)):
        if usable[pair]:
            count[root[need[pair]]] += 1
    return count


@compiled
def _order(
    need: Integers, usable: Flags, parcel: Integers, territory: Numbers, count: int
) -> tuple[npt.NDArray[np.uint32], Integers]:
    """The usable pairs by parcel, those of parcel p from `begin[p]`."""
    begin = np.zeros(count + 1, np.int64)
    for pair in range(len(need)):
        if usable[pair]:
            begin[parcel[territory[need[pair]]] + 1] += 1
    begin = np.cumsum(begin)
    filled = begin.copy()
    order = np.empty(begin[-1], np.uint32)
    for pair in range(len(need)):
        if usable[pair]:
            at = parcel[territory[need[pair]]]
            order[filled[at]] = pair
            filled[at] += 1
    return order, begin
