"""Pairing: what each of many needs for nights may take, among many offers: the nearest that fit.

The answers are those that each need would get alone from the rules (`matching.rules`) and from the search of `db`; a
test holds them against each other. Asked together, what is in words is decided once for each kind of need and of
offer, the way from a door once for all who stand there, and the walk outward is a compiled loop.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from geo.cells import Cell, centroid
from geo.distance import EARTH_RADIUS_KM, Kilometres
from matching.engine.compiled import compiled
from matching.engine.problem import Flags, Floats, Integers
from matching.needs import Need, is_alone
from matching.vocabulary import Audience, SiteKind

__all__ = ["ANY_NUMBER", "Kind", "Pairs", "Stalls", "Wish", "pairs_of", "warm"]

ANY_NUMBER = 1 << 30
"""Where an offer has no limit of people or nights."""
_HALF_KM = 0.499999
"""Distances count in whole kilometres, rounded half up."""
_SEVERAL = 64
"""Room for so many answers a need at first; it grows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an offer says in words; many say the same."""

    category: str
    country: str
    site_kind: SiteKind
    audience: frozenset[str]
    provides: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stalls:
    """Open offers (m), verified lately and in no home that nobody visited; nights (h) from a first one on."""

    kinds: Sequence[Kind]
    kind: Integers
    """(m,) index into `kinds`."""
    cell: Integers
    """(m,)"""
    party_max: Integers
    """(m,) `ANY_NUMBER` where there is no limit."""
    nights_max: Integers
    """(m,) `ANY_NUMBER` where there is no limit."""
    free: Integers
    """(m, h) places; -1 where the offer has no slot that night."""
    last_arrival: Floats
    """(m, h) seconds since 1970."""

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Wish:
    """One need for nights: `people` still want a place, who come at `arrives` (seconds since 1970)."""

    need: Need
    people: int
    reach: Kilometres
    arrives: float
    first_night: int
    last_night: int
    not_at: Sequence[int] = ()
    """Offers, by index, that are not proposed to it again."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which need may take which offer (p pairs), each need's nearest first."""

    need: Integers
    """(p,)"""
    offer: Integers
    """(p,)"""
    km: Floats
    """(p,) whole kilometres."""


def pairs_of(wishes: Sequence[Wish], stalls: Stalls, most: int) -> Pairs:
    """For each wish the `most` nearest offers that fit, and any as far as the last of them."""
    if not wishes or not len(stalls):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    kind, fitting = _fitting_kinds(wishes, stalls.kinds)
    north = np.argsort(_degrees(stalls.cell)[:, 1], kind="stable")
    at_door = np.argsort([wish.need.cell for wish in wishes], kind="stable")
    doors, starts = np.unique([wishes[number].need.cell for number in at_door], return_index=True)
    apart = np.array([len(wish.not_at) for wish in wishes], np.int64)
    need, offer, km = _walk(
        np.radians(_degrees(doors)),
        np.append(starts, len(wishes)).astype(np.int64),
        at_door.astype(np.int64),
        np.array([wish.reach + _HALF_KM for wish in wishes], np.float64),
        np.array([1 if wish.need.divisible else wish.people for wish in wishes], np.int64),
        np.array([0 if wish.need.divisible else wish.need.people.count for wish in wishes], np.int64),
        np.array([wish.arrives for wish in wishes], np.float64),
        np.array([(wish.first_night, wish.last_night) for wish in wishes], np.int64),
        np.append(0, np.cumsum(apart)).astype(np.int64),
        np.array([number for wish in wishes for number in wish.not_at], np.int64),
        kind,
        fitting,
        np.radians(_degrees(stalls.cell)[north]),
        north.astype(np.int64),
        stalls.kind,
        stalls.party_max,
        stalls.nights_max,
        stalls.free,
        stalls.last_arrival,
        most,
    )
    by_need = np.argsort(need, kind="stable")
    return Pairs(need[by_need], offer[by_need], np.floor(km[by_need] + 0.5))


def warm() -> None:
    """Compile the walk, or read it from where it is kept."""
    one, number = np.ones(1, np.int64), np.zeros((1, 1), np.int64)
    _walk(
        np.zeros((1, 2)), np.array([0, 1]), one * 0, np.ones(1), one, one, np.zeros(1), np.zeros((1, 2), np.int64),
        np.zeros(2, np.int64), np.zeros(0, np.int64), one * 0, np.ones((1, 1), np.bool_), np.zeros((1, 2)), one * 0,
        one * 0, one, one, number + 1, np.ones((1, 1)), 1,
    )  # fmt: skip


def _degrees(cells: Integers) -> Floats:
    """(k, 2) longitude and latitude of cells' middles."""
    each, inverse = np.unique(cells, return_inverse=True)
    middles = [centroid(Cell(int(cell))) for cell in each]
    return np.array([(point.longitude, point.latitude) for point in middles], np.float64)[inverse]


def _fitting_kinds(wishes: Sequence[Wish], kinds: Sequence[Kind]) -> tuple[Integers, Flags]:
    """(n,) kind of each need, and (kinds of need, kinds of offer) whether they fit by all that is in words."""
    table = _Table(kinds)
    numbers: dict[Hashable, int] = {}
    rows: list[Flags] = []
    kind = np.zeros(len(wishes), np.int64)
    for at, wish in enumerate(wishes):
        need = wish.need
        asked = (need.category, need.countries, need.audience, need.requires, is_alone(need))
        if asked not in numbers:
            numbers[asked] = len(rows)
            rows.append(table.fitting(need))
        kind[at] = numbers[asked]
    return kind, np.array(rows, np.bool_)


class _Table:
    """Kinds of offers, by word: each is (k,) whether the kind has it."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._count = len(kinds)
        self._category = self._by_word([{kind.category} for kind in kinds])
        self._country = self._by_word([{kind.country} for kind in kinds])
        self._home = np.array([kind.site_kind is SiteKind.PRIVATE_HOME for kind in kinds], np.bool_)
        self._audience = self._by_word([kind.audience for kind in kinds])
        self._provides = self._by_word([kind.provides for kind in kinds])

    def fitting(self, need: Need) -> Flags:
        """(k,) what suits this need; needs for nights ask for no class, so languages do not matter."""
        fits: Flags = self._having(self._category, [need.category]) & self._having(self._country, need.countries)
        fits &= self._having(self._audience, {*need.audience, Audience.ANYONE})
        for feature in need.requires:
            fits &= self._having(self._provides, [feature])
        return fits & ~self._home if is_alone(need) else fits

    def _by_word(self, words: Sequence[frozenset[str] | set[str]]) -> dict[str, Flags]:
        having: defaultdict[str, list[int]] = defaultdict(list)
        for number, some in enumerate(words):
            for word in some:
                having[word].append(number)
        flags = {}
        for word, numbers in having.items():
            flags[word] = np.zeros(self._count, np.bool_)
            flags[word][numbers] = True
        return flags

    def _having(self, column: dict[str, Flags], words: Sequence[str] | frozenset[str] | set[str]) -> Flags:
        """(k,) which have any of the words."""
        has: Flags = np.zeros(self._count, np.bool_)
        for word in words:
            if word in column:
                has |= column[word]
        return has


@compiled
def _look_around(door: Floats, reach: float, places: Floats, near: Integers, away: Floats) -> int:
    """Write which places are within `reach` km of a door, and how far: how many. Longitude and latitude in radians."""
    angle = reach / EARTH_RADIUS_KM
    across = np.sin(angle / 2) ** 2 + 1e-12
    longitude, latitude = door
    # How far east and west that reaches; all around where a pole is near.
    slant = np.sin(angle) / max(np.cos(latitude), 1e-9)
    sideways = np.arcsin(slant) + 1e-9 if slant < 1 and angle < np.pi / 2 else np.pi
    count = 0
    for at in range(np.searchsorted(places[:, 1], latitude - angle - 1e-9), len(places)):
        if places[at, 1] > latitude + angle + 1e-9:
            break
        turn = abs(places[at, 0] - longitude)
        if min(turn, 2 * np.pi - turn) > sideways:
            continue
        # The great circle by haversines, as `geo.distance` has it.
        square = np.sin((places[at, 1] - latitude) / 2) ** 2
        width = np.cos(latitude) * np.cos(places[at, 1])
        square += width * np.sin((places[at, 0] - longitude) / 2) ** 2
        if square <= across:
            near[count] = at
            away[count] = 2 * EARTH_RADIUS_KM * np.arcsin(min(1.0, np.sqrt(square)))
            count += 1
    return count


@compiled
def _has_room(free: Integers, last_arrival: Floats, nights: Integers, least: int, arrives: float) -> bool:
    """Whether an offer has room for so many in every night, and lets them in."""
    first, after = nights[0], nights[1] + 1
    return bool(free[first:after].min() >= least and last_arrival[first:after].min() > arrives)


@compiled
def _walk(
    doors: Floats,
    starts: Integers,
    at_door: Integers,
    reach: Floats,
    least: Integers,
    party: Integers,
    arrives: Floats,
    nights: Integers,
    apart_from: Integers,
    apart: Integers,
    kind: Integers,
    fitting: Flags,
    places: Floats,
    number_of: Integers,
    kind_of: Integers,
    party_max: Integers,
    nights_max: Integers,
    free: Integers,
    last_arrival: Floats,
    most: int,
) -> tuple[Integers, Integers, Floats]:
    """Walk outward from each door and let each need that stands there take what fits: (p,) need, offer, km.

    `doors` and `places` are (k, 2) longitude and latitude in radians, places by latitude and `number_of` their offers;
    needs `at_door[starts[d]:starts[d + 1]]` stand at door d; need i is not to go to `apart[apart_from[i] : …]`.
    """
    need = np.empty(len(at_door) * _SEVERAL, np.int64)
    offer = np.empty(len(need), np.int64)
    km = np.empty(len(need), np.float64)
    found = 0
    near = np.empty(len(places), np.int64)
    away = np.empty(len(places), np.float64)
    for door in range(len(doors)):
        here = at_door[starts[door] : starts[door + 1]]
        count = _look_around(doors[door], reach[here].max(), places, near, away)
        outward = np.argsort(away[:count])
        for who in here:
            taken, last = 0, -1.0
            for step in outward:
                distance = away[step]
                if distance > reach[who] or (taken >= most and distance != last):
                    break
                what = number_of[near[step]]
                if not fitting[kind[who], kind_of[what]] or party[who] > party_max[what]:
                    continue
                if nights[who, 1] - nights[who, 0] + 1 > nights_max[what]:
                    continue
                if not _has_room(free[what], last_arrival[what], nights[who], least[who], arrives[who]):
                    continue
                if what in apart[apart_from[who] : apart_from[who + 1]]:
                    continue
                if found == len(need):
                    need = np.append(need, np.empty_like(need))
                    offer = np.append(offer, np.empty_like(offer))
                    km = np.append(km, np.empty_like(km))
                need[found], offer[found], km[found] = who, what, distance
                found += 1
                taken += 1
                last = distance
    return need[:found], offer[:found], km[:found]
