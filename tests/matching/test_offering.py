"""What may be given: everything wrong with an offer is named at its place."""

from datetime import date, time

import pytest

from matching.offering import OfferTerms, flaws_of
from matching.vocabulary import Audience, Confirmation, Coverage


def flaws(**changes: object) -> set[tuple[str, str]]:
    """What is wrong with nights from 19:00 to 08:00 in a town of France, changed as told."""
    said: dict[str, object] = {
        "category": "shelter",
        "capacity": 10,
        "audience": frozenset({Audience.ANYONE}),
        "provides": frozenset(),
        "confirmation": Confirmation.EACH,
        "confirm_within_minutes": 60,
        "first_day": date(2027, 3, 26),
        "last_day": date(2027, 3, 29),
        "timezone": "Europe/Paris",
        "opens": time(19),
        "closes": time(8),
        "rrule": "FREQ=DAILY",
        "slot_minutes": None,
        "party_max": None,
        "nights_max": None,
        "arrive_by": None,
        "release_no_shows": False,
        "language": None,
        "countries": ("FR", "FR"),
        **changes,
    }
    countries = said.pop("countries")
    terms = OfferTerms(**said)  # type: ignore[arg-type]
    return {(flaw.at, flaw.code) for flaw in flaws_of(terms, Coverage.EVERY, countries)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("opens", "closes", "inside", "outside"),
    [
        (time(19), time(8), (time(19), time(22, 30), time(0), time(3), time(8)), (time(18, 59), time(8, 1), time(12))),
        (time(1), time(5), (time(1), time(2), time(5)), (time(0, 59), time(23), time(5, 1))),
        (time(20), time(20), (time(19), time(20), time(21), time(0)), ()),
        (time(21), time(0), (time(21), time(23, 59), time(0)), (time(0, 1), time(20))),
    ],
)
def test_people_may_arrive_while_the_door_is_open(
    opens: time, closes: time, inside: tuple[time, ...], outside: tuple[time, ...]
) -> None:
    for clock in inside:
        assert flaws(opens=opens, closes=closes, arrive_by=clock) == set(), clock
    for clock in outside:
        assert flaws(opens=opens, closes=closes, arrive_by=clock) == {("/arrive_by", "outside_opening_hours")}, clock


@pytest.mark.parametrize(
    ("timezone", "countries", "wrong"),
    [
        ("Europe/Rome", ("FR", "FR"), True),
        ("America/New_York", ("FR", "FR"), True),
        ("Europe/Paris", ("FR", "FR"), False),
        ("Atlantic/Canary", ("ES", "ES"), False),
        # Some write all hours in the world's own time.
        ("UTC", ("FR", "FR"), False),
        # Towns of Kosovo keep the clocks of Belgrade in the gazetteer.
        ("Europe/Belgrade", ("XK", "RS"), False),
        ("Europe/Paris", ("XK", "RS"), True),
    ],
)
def test_the_clock_on_the_wall_is_that_of_the_country(
    timezone: str, countries: tuple[str, ...], *, wrong: bool
) -> None:
    wanted = {("/timezone", "timezone_of_another_country")} if wrong else set()
    assert flaws(timezone=timezone, countries=countries) == wanted
