"""The simulated year: pacts do what they say, and the service itself comes to the same numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.year.command import Year, judged, lived_year
from bench.year.database import POLICY, coming_monday, live_through
from bench.year.facts import Network, Parameters, network_of
from bench.year.load import gini
from bench.year.plot import draw
from bench.year.simulation import Lived, live
from bench.year.towns import NetworkTown
from db.settings import Settings
from geo.cells import Point
from matching.policy import FIRST_POLICY
from matching.vocabulary import Acceptance, TownRole

TOWNS = (
    NetworkTown(3118505, "Les", "ES", 755, "Europe/Madrid", Point(0.7105, 42.81076), TownRole.BORDER),
    NetworkTown(3035416, "Bagnères-de-Luchon", "FR", 3380, "Europe/Paris", Point(0.59341, 42.79079), TownRole.BORDER),
    NetworkTown(3105994, "Vielha", "ES", 5385, "Europe/Madrid", Point(0.79556, 42.70196), TownRole.TRANSIT),
    NetworkTown(2980045, "Saint-Gaudens", "FR", 12193, "Europe/Paris", Point(0.72318, 43.10813), TownRole.TRANSIT),
    NetworkTown(3118514, "Lleida", "ES", 140797, "Europe/Madrid", Point(0.62218, 41.61674), TownRole.HOST),
    NetworkTown(2972315, "Toulouse", "FR", 511684, "Europe/Paris", Point(1.44367, 43.60426), TownRole.HOST),
    NetworkTown(2973385, "Tarbes", "FR", 52106, "Europe/Paris", Point(0.07139, 43.23407), TownRole.HOST),
)
"""One of the year's crossings, over the Pyrenees."""


def network(**changes: object) -> Network:
    given = {"parties_an_evening": 24.0, "evenings": 28, "places_of": dict.fromkeys(TownRole, 5.0), "each": 0.6}
    return network_of(TOWNS, Parameters(**given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def year() -> Year:
    """Four weeks of one crossing, of which the what-if knows two."""
    return lived_year(network(), every=2)


def test_pacts_leave_fewer_people_without_a_place_and_spread_the_load(year: Year) -> None:
    assert year.without.asked == year.with_pacts.asked, "the same people at the door"
    assert year.with_pacts.passed_on.total() > 0
    assert 0 < year.fall <= year.with_pacts.passed_on.total()
    before, after = year.ginis
    assert after < before
    assert year.foretold.referred > 0


def test_a_pact_that_takes_nobody_changes_nothing() -> None:
    here = network(evenings=14)
    empty = [replace(passage, per_week=0) for passage in here.passages]
    evenings = range(14)
    assert live(here, empty, FIRST_POLICY, evenings) == live(here, (), FIRST_POLICY, evenings)
    assert live(here, here.passages, FIRST_POLICY, evenings) != live(here, (), FIRST_POLICY, evenings), "the control"


def test_a_wrong_foretelling_and_a_rising_coefficient_are_told(year: Year) -> None:
    before, after = (
        Lived(asked=year.without.asked, unmet=year.without.unmet, load=year.without.load),
        Lived(asked=year.without.asked, unmet=year.with_pacts.unmet, load=year.with_pacts.load),
    )
    right = replace(year.foretold, unmet=before.unmet, unmet_with_pacts=after.unmet)
    assert [holds for _, holds in judged(Year(year.network, before, after, right))] == [True, True]
    # Pacts that help nobody, foretold as if they did.
    assert [holds for _, holds in judged(Year(year.network, before, before, right))] == [False, False]


@pytest.mark.parametrize(
    ("values", "coefficient"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 1], 0.75), ([1, 2, 3, 4, 5], 4 / 15), ([5, 3, 1, 2, 4], 4 / 15), ([0, 0], 0.0)],
)
def test_the_gini_coefficient_is_the_textbooks(values: list[float], coefficient: float) -> None:
    assert gini(values) == pytest.approx(coefficient)
    assert gini([7 * each for each in values]) == pytest.approx(coefficient), "whatever the unit"


def test_the_picture_is_drawn(year: Year, tmp_path: Path) -> None:
    draw(year.network, year.without, year.with_pacts, year.foretold, tmp_path / "year.png")
    assert (tmp_path / "year.png").read_bytes().startswith(b"\x89PNG")


async def test_the_service_comes_to_the_same_numbers(settings: Settings, *, long: bool) -> None:
    evenings = range(10 if long else 2)
    scarce = {TownRole.BORDER: 3.0, TownRole.TRANSIT: 3.0, TownRole.HOST: 4.0}
    first = coming_monday(datetime.now(UTC).date())
    here = network(seed=8, first=first, parties_an_evening=18.0, declined=0.3, each=0.7, places_of=scarce)
    assert {pact.acceptance for pact in here.pacts} == set(Acceptance), "of both kinds"
    served, ties = await live_through(settings, here, here.pacts, evenings)
    simulated = live(here, here.passages, POLICY, evenings, ties)
    assert served.answers["placed"], "else nothing is compared"
    assert served.answers["declined"]
    assert served.unmet_people
    assert served == simulated
    without = live(here, (), POLICY, evenings, ties)
    assert served != without, "the control"


def test_an_evening_has_the_same_people_in_every_run() -> None:
    assert network().parties(9) == network(evenings=10).parties(9)
    assert network().parties(9) != network(seed=2).parties(9)
    monday = network().parameters.first
    assert all(party.need.days[0] == monday + timedelta(days=9) for party in network().parties(9))
