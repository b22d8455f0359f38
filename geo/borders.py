"""Which country a place lies in, told by the map of time zones: hardly any zone reaches over a border.

The map (tzfpy, from OpenStreetMap's borders) is drawn a little simpler than the land is. So a place counts as lying in
every country within a hundred metres of it: who stands at the line may say either, and nobody further off.
"""

from math import cos, pi, radians, sin
from typing import Final

import tzfpy
from babel.core import get_global

from geo.cells import Point

__all__ = ["LINE_KM", "countries_around", "country_of_zone", "is_surely_abroad"]

LINE_KM: Final = 0.1
"""How far off the map may draw a border."""
_DEGREE_KM: Final = 111.2
_NOBODYS: Final = frozenset({"ZZ", "001"})


def country_of_zone(zone: str) -> str | None:
    """The country that a time zone is used in (ISO 3166-1, two letters); `None` for one of no country, such as UTC."""
    country = get_global("zone_territories").get(zone)
    return None if country is None or country in _NOBODYS else str(country)


def countries_around(place: Point) -> frozenset[str]:
    """The countries within `LINE_KM` of a place; none on the high sea."""
    zones = {zone for near in (place, *_ring(place)) for zone in tzfpy.get_tzs(near.longitude, near.latitude)}
    return frozenset(country for zone in zones if (country := country_of_zone(zone)))


def is_surely_abroad(place: Point, town: Point, country: str) -> bool:
    """Whether a place cannot lie in the country of this town.

    Where the map has the town itself in another country, be it disputed or drawn otherwise, it is not asked.
    """
    there = countries_around(place)
    return bool(there) and country not in there and country in countries_around(town)


def _ring(middle: Point) -> list[Point]:
    north = LINE_KM / _DEGREE_KM
    east = north / max(cos(radians(middle.latitude)), north)
    return [
        Point(
            (middle.longitude + east * sin(turn * pi / 4) + 180) % 360 - 180,
            max(-90.0, min(90.0, middle.latitude + north * cos(turn * pi / 4))),
        )
        for turn in range(8)
    ]
