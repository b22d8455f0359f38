"""Local search over whole parties, compiled: place, evict, place again in another order, keep what is not worse.

A divisible need is searched as several parties (`Parties`), each of which stays together. What counts is told with each
call (`Aims`), because a search that trades no tier from its first step on soon finds no step at all; prices only order
each party's pairs, so that it tries first what leaves scarce nights to others. Each step takes parties out of one or a
few offers, gives the places to one that waits where there is one, and finds new places for the others in a random order
that favours what is worth most ("ruin and recreate": Schrimpf et al., Journal of Computational Physics 159, 2000; the
small steps and the blinking are those of Christiaens and Vanden Berghe, Transportation Science 54, 2020). A step that
loses more than the temperature forgives is taken back.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from matching.engine.compiled import compiled
from matching.engine.pairs import Pairs
from matching.engine.problem import Floats, Integers, Problem

__all__ = ["Aims", "Cut", "Parties", "Standing", "empty", "parties_of", "place_all", "place_at", "restore", "search"]

_PARTS: Final = 32
"""A divisible need is cut into single people, or into this many nearly equal parts when it is larger."""
_BLINK: Final = 0.04
"""How often a pair that would do is passed over, so that the same order finds other places."""


class Parties(NamedTuple):
    """Parties and where they may go (q parties, k pairs), which the search reads. Pairs of a party: the best first."""

    people: Integers
    """(q,)"""
    first: Integers
    """(q,) night"""
    last: Integers
    """(q,) night, inclusive"""
    begin: Integers
    """(q,) its pairs are `begin` to `end`."""
    end: Integers
    """(q,)"""
    offer: Integers
    """(k,)"""
    km: Floats
    """(k,) per person"""
    room: Integers
    """(k,) places free when nobody is there: a part may be larger than some of its need's offers."""
    seats: Integers
    """(m + 1,) where each offer's list of occupants begins: as long as there are parties that may come."""
    callers: Integers
    """(seats[-1],) the parties that may come to each offer."""


class Aims(NamedTuple):
    """What a step is judged by."""

    placed: Floats
    """(q,) what each party adds by having a place."""
    km: float
    """What a kilometre of one person costs."""
    slope: Floats
    """(m, h) by how much each person in an offer makes it dearer for the next; (0, 0) where load costs nothing."""
    places: Floats
    """(m, h) places of each offer in all; free and taken before as well."""
    choices: int
    """How many pairs with room are compared for a party that looks for a place; 1 takes the first.

    Where several are compared, it is ways that count, and who waits is not called: who is served stays as it is.
    """


class Standing(NamedTuple):
    """Who is where: what the search changes."""

    pair: Integers
    """(q,) the pair that holds, or -1."""
    spot: Integers
    """(q,) where it stands in its offer's list, or in `waiting`."""
    occupant: Integers
    """(seats[-1],) parties in each offer, those of offer j from `seats[j]`."""
    occupants: Integers
    """(m,) how many."""
    free: Integers
    """(m, h) places."""
    waiting: Integers
    """(q,) the parties without a place, in the first `counts[0]` entries."""
    counts: Integers
    """(3,) how many wait; how many moves the journal holds; how many are in `queue`."""
    journal: Integers
    """(j, 2) party and the pair it had, of the step under way."""
    queue: Integers
    """(q,) parties to place again in the step under way."""
    chance: np.ndarray[tuple[int], np.dtype[np.uint64]]
    """(1,) state of the random numbers: never 0."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Parties and the needs they are parts of."""

    parties: Parties
    need: Integers
    """(q,)"""
    number: Integers
    """(k,) which of `Pairs` each pair of the parties is."""


def parties_of(problem: Problem, pairs: Pairs, gain: Floats) -> Cut:
    """Cut divisible needs into parties and order each one's pairs by `gain`, the most first."""
    number = np.lexsort((-gain, pairs.need))
    parts = np.where(problem.divisible, np.minimum(problem.people, _PARTS), 1)
    need = np.repeat(np.arange(len(parts)), parts)
    step = np.arange(len(need)) - np.repeat(np.cumsum(parts) - parts, parts)
    people = problem.people[need] // parts[need] + (step < problem.people[need] % parts[need])
    offer = pairs.offer[number]
    callers, seats = _callers(need, pairs.begin, offer, len(problem.capacity))
    parties = Parties(
        people=people,
        first=problem.first_night[need],
        last=problem.last_night[need],
        begin=pairs.begin[need],
        end=pairs.begin[need + 1],
        offer=offer,
        km=pairs.km[number],
        room=pairs.room[number],
        seats=seats,
        callers=callers,
    )
    return Cut(parties, need, number)


def empty(problem: Problem, parties: Parties, seed: int) -> Standing:
    """Nobody placed."""
    count = len(parties.people)
    return Standing(
        pair=np.full(count, -1, np.int64),
        spot=np.arange(count, dtype=np.int64),
        occupant=np.zeros(len(parties.callers), np.int64),
        occupants=np.zeros(len(problem.capacity), np.int64),
        free=problem.capacity.astype(np.int64),
        waiting=np.arange(count, dtype=np.int64),
        counts=np.array([count, 0, 0]),
        journal=np.zeros((4 * count + 16, 2), np.int64),
        queue=np.zeros(count, np.int64),
        chance=np.array([(seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) % 2**64 | 1], np.uint64),
    )


@compiled
def place_all(parties: Parties, standing: Standing, order: Integers) -> None:
    """Place each party that waits, in this order, at the first of its pairs with room."""
    for party in order:
        if standing.pair[party] < 0:
            for pair in range(parties.begin[party], parties.end[party]):
                if _fits(parties, standing, party, pair):
                    _take(parties, standing, party, pair)
                    break
    standing.counts[1] = 0


@compiled
def place_at(parties: Parties, standing: Standing, party: Integers, pair: Integers) -> None:
    """Place each of these parties at its pair, where there is room and it has no place yet."""
    for each in range(len(party)):
        if standing.pair[party[each]] < 0 and _fits(parties, standing, party[each], pair[each]):
            _take(parties, standing, party[each], pair[each])
    standing.counts[1] = 0


@compiled
def restore(parties: Parties, standing: Standing, pair: Integers) -> None:
    """Put everybody where `pair` says."""
    for party in range(len(pair)):
        if standing.pair[party] >= 0 and standing.pair[party] != pair[party]:
            _leave(parties, standing, party)
    for party in range(len(pair)):
        if standing.pair[party] != pair[party]:
            _take(parties, standing, party, pair[party])
    standing.counts[1] = 0


@compiled
def search(parties: Parties, standing: Standing, aims: Aims, steps: int, temperature: float) -> None:
    """Take so many steps; one that loses more than `temperature` forgives is taken back."""
    for _ in range(steps):
        standing.counts[1] = 0
        standing.counts[2] = 0
        change = _disturb(parties, standing, aims)
        change += _settle(parties, standing, aims)
        if change < -temperature * -np.log(_random(standing) + 1e-300):
            _take_back(parties, standing)
    standing.counts[1] = 0


@compiled
def _disturb(parties: Parties, standing: Standing, aims: Aims) -> float:
    """Evict some, for one that waits or for nobody; what it changes. The evicted stand in the queue."""
    waiting = standing.counts[0]
    if waiting and aims.choices == 1 and _random(standing) < 0.6:
        party = standing.waiting[_below(standing, waiting)]
        choices = parties.end[party] - parties.begin[party]
        if choices == 0:
            return 0.0
        pair = parties.begin[party] + int(choices * _random(standing) ** 2)
        if parties.room[pair] < parties.people[party]:
            return 0.0
        change = _make_room(parties, standing, aims, party, parties.offer[pair])
        change += _gain(parties, standing, aims, party, pair)
        _take(parties, standing, party, pair)
        _call(parties, standing, parties.offer[pair], 2)
        return change
    party = _below(standing, len(parties.people))
    if parties.end[party] == parties.begin[party]:
        return 0.0
    change = 0.0
    for _ in range(1 + _below(standing, 3)):
        choices = parties.end[party] - parties.begin[party]
        offer = parties.offer[parties.begin[party] + int(choices * _random(standing) ** 2)]
        for _ in range(1 + _below(standing, 4)):
            if standing.occupants[offer]:
                party = standing.occupant[parties.seats[offer] + _below(standing, standing.occupants[offer])]
                change += _evict(parties, standing, aims, party)
        if aims.choices == 1:
            _call(parties, standing, offer, 3)
    return change


@compiled
def _make_room(parties: Parties, standing: Standing, aims: Aims, party: int, offer: int) -> float:
    """Evict occupants at random until the party fits; what that loses."""
    change = 0.0
    for night in range(parties.first[party], parties.last[party] + 1):
        while standing.free[offer, night] < parties.people[party]:
            at = _below(standing, standing.occupants[offer])
            other = standing.occupant[parties.seats[offer] + at]
            while not parties.first[other] <= night <= parties.last[other]:
                at = (at + 1) % standing.occupants[offer]
                other = standing.occupant[parties.seats[offer] + at]
            change += _evict(parties, standing, aims, other)
    return change


@compiled
def _call(parties: Parties, standing: Standing, offer: int, tries: int) -> None:
    """Queue some that wait and may come to the offer."""
    callers = parties.seats[offer + 1] - parties.seats[offer]
    for _ in range(tries):
        party = parties.callers[parties.seats[offer] + _below(standing, callers)]
        if standing.pair[party] < 0 and not _queued(standing, party):
            standing.queue[standing.counts[2]] = party
            standing.counts[2] += 1


@compiled
def _queued(standing: Standing, party: int) -> bool:
    for at in range(standing.counts[2]):  # noqa: SIM110 - compiled
        if standing.queue[at] == party:
            return True
    return False


@compiled
def _settle(parties: Parties, standing: Standing, aims: Aims) -> float:
    """Place the queue again, what is worth most first, more or less; what that adds."""
    count = standing.counts[2]
    keys = np.empty(count)
    for at in range(count):
        party = standing.queue[at]
        key = aims.placed[party] * (0.3 + _random(standing))
        before = at
        while before > 0 and keys[before - 1] < key:
            keys[before], standing.queue[before] = keys[before - 1], standing.queue[before - 1]
            before -= 1
        keys[before], standing.queue[before] = key, party
    added = 0.0
    for at in range(count):
        party = standing.queue[at]
        if standing.pair[party] < 0:
            pair = _place_for(parties, standing, aims, party)
            if pair >= 0:
                added += _gain(parties, standing, aims, party, pair)
                _take(parties, standing, party, pair)
    return added


@compiled
def _place_for(parties: Parties, standing: Standing, aims: Aims, party: int) -> int:
    """The best of the first pairs with room, or -1; now and then one that would do is passed over."""
    found, passed, most, left = -1, -1, 0.0, aims.choices
    for pair in range(parties.begin[party], parties.end[party]):
        if not _fits(parties, standing, party, pair):
            continue
        if _random(standing) < _BLINK:
            passed = pair
            continue
        gain = _gain(parties, standing, aims, party, pair) if aims.choices > 1 else 0.0
        if found < 0 or gain > most:
            found, most = pair, gain
        left -= 1
        if left == 0:
            break
    return found if found >= 0 else passed


@compiled
def _gain(parties: Parties, standing: Standing, aims: Aims, party: int, pair: int) -> float:
    """What a party that is not there adds at a pair."""
    people = parties.people[party]
    cost = aims.km * people * parties.km[pair]
    if len(aims.slope):
        offer = parties.offer[pair]
        for night in range(parties.first[party], parties.last[party] + 1):
            before = aims.places[offer, night] - standing.free[offer, night]
            cost += aims.slope[offer, night] * people * (before + (people - 1) / 2)
    return float(aims.placed[party] - cost)


@compiled
def _fits(parties: Parties, standing: Standing, party: int, pair: int) -> bool:
    offer = parties.offer[pair]
    for night in range(parties.first[party], parties.last[party] + 1):
        if standing.free[offer, night] < parties.people[party]:
            return False
    return True


@compiled
def _evict(parties: Parties, standing: Standing, aims: Aims, party: int) -> float:
    """Take a party out and queue it; what that loses."""
    pair = standing.pair[party]
    _leave(parties, standing, party)
    standing.queue[standing.counts[2]] = party
    standing.counts[2] += 1
    return -_gain(parties, standing, aims, party, pair)


@compiled
def _take(parties: Parties, standing: Standing, party: int, pair: int) -> None:
    offer = parties.offer[pair]
    for night in range(parties.first[party], parties.last[party] + 1):
        standing.free[offer, night] -= parties.people[party]
    _note(standing, party)
    standing.counts[0] -= 1
    moved = standing.waiting[standing.counts[0]]
    standing.waiting[standing.spot[party]] = moved
    standing.spot[moved] = standing.spot[party]
    standing.pair[party] = pair
    standing.spot[party] = standing.occupants[offer]
    standing.occupant[parties.seats[offer] + standing.occupants[offer]] = party
    standing.occupants[offer] += 1


@compiled
def _leave(parties: Parties, standing: Standing, party: int) -> None:
    offer = parties.offer[standing.pair[party]]
    for night in range(parties.first[party], parties.last[party] + 1):
        standing.free[offer, night] += parties.people[party]
    _note(standing, party)
    standing.occupants[offer] -= 1
    moved = standing.occupant[parties.seats[offer] + standing.occupants[offer]]
    standing.occupant[parties.seats[offer] + standing.spot[party]] = moved
    standing.spot[moved] = standing.spot[party]
    standing.pair[party] = -1
    standing.spot[party] = standing.counts[0]
    standing.waiting[standing.counts[0]] = party
    standing.counts[0] += 1


@compiled
def _note(standing: Standing, party: int) -> None:
    at = standing.counts[1]
    standing.journal[at, 0] = party
    standing.journal[at, 1] = standing.pair[party]
    standing.counts[1] = at + 1


@compiled
def _take_back(parties: Parties, standing: Standing) -> None:
    """Undo the step under way, the last move first."""
    for at in range(standing.counts[1] - 1, -1, -1):
        party, pair = standing.journal[at, 0], standing.journal[at, 1]
        if standing.pair[party] >= 0:
            _leave(parties, standing, party)
        else:
            _take(parties, standing, party, pair)
    standing.counts[1] = 0


@compiled
def _random(standing: Standing) -> float:
    """Uniform in [0, 1): xorshift64* (Vigna, ACM Transactions on Mathematical Software 42, 2016)."""
    x = standing.chance[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    standing.chance[0] = x
    return float((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(11)) / 9007199254740992.0


@compiled
def _below(standing: Standing, count: int) -> int:
    return int(_random(standing) * count)


@compiled
def _callers(need: Integers, begin: Integers, offer: Integers, offers: int) -> tuple[Integers, Integers]:
    seats = np.zeros(offers + 1, np.int64)
    for party in range(len(need)):
        for pair in range(begin[need[party]], begin[need[party] + 1]):
            seats[offer[pair] + 1] += 1
    seats = np.cumsum(seats)
    filled = np.zeros(offers, np.int64)
    callers = np.empty(seats[-1], np.int64)
    for party in range(len(need)):
        for pair in range(begin[need[party]], begin[need[party] + 1]):
            at = offer[pair]
            callers[seats[at] + filled[at]] = party
            filled[at] += 1
    return callers, seats
