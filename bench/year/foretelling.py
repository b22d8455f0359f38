"""What the what-if foretells of the year from some of its weeks: `relais whatif` with pacts that are not there yet.

It knows the facts of the sampled weeks (who came, in which hour, and which houses were open) and nothing of how the
year was lived. A week is one picture: all who come in it and in the week before, for who stays on is in the way. Nobody
knows beforehand who comes. Only those who come in the week itself are counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from time import perf_counter
from typing import Final
from zoneinfo import ZoneInfo

from bench.year.facts import House, Network
from bench.year.towns import NetworkTown
from db.towns import TownFacts
from matching import pictures
from matching.engine.solve import solve
from matching.offers import Slot
from matching.pictures import Guest, Origin, Picture, Room
from matching.policy import Policy
from matching.prospects import Prospect, Think, look_ahead
from matching.staffing_territories import best_staffing
from matching.vocabulary import Coverage
from matching.windows import Window
from relais.change_file import ChangeFile, NewPact
from relais.changes import Setting, changed

__all__ = ["Foretold", "foretell", "sampled_weeks"]

_LEAD_IN: Final = 7
"""Evenings before the week, which begin with empty houses: by its end they are as full as they always are."""
_LONGEST: Final = 3
"""Nights that somebody stays."""
_WEEK: Final = 7
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_THINKING_SECONDS: Final = 0.1


@dataclass
class Foretold:
    """Both prospects of the sampled weeks, in people of those weeks; rules as `docs/whatif.md` tells them."""

    weeks: list[int] = field(default_factory=list)
    unmet: Counter[date] = field(default_factory=Counter)
    unmet_with_pacts: Counter[date] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)
    no_partner: Counter[str] = field(default_factory=Counter)
    referred: int = 0
    km: int = 0
    km_with_pacts: int = 0

    @property
    def share_left(self) -> float:
        """Of the people unmet without pacts, the part that is unmet with them."""
        return self.unmet_with_pacts.total() / max(self.unmet.total(), 1)


def sampled_weeks(evenings: int, every: int) -> list[int]:
    """Every so many whole weeks, from the second on, so that none lacks its lead-in."""
    return list(range(1, evenings // _WEEK, every))


def foretell(network: Network, policy: Policy, weeks: Iterable[int]) -> Foretold:
    """Ask the what-if about each of these weeks (0 is the year's first)."""
    told = Foretold()
    setting = Setting((), {town.id: _facts(town) for town in network.towns}, {"shelter": Coverage.EVERY})
    pacts = ChangeFile(
        pacts=[_pact(each.town, each.partner, each.to_partner, each.to_proposer) for each in network.pacts]
    )
    for week in weeks:
        picture = _picture(network, policy, week)
        as_it_is, as_it_would_be = (look_ahead(each, _think()) for each in (picture, changed(picture, pacts, setting)))
        monday = network.parameters.first + week * _WEEK * _DAY
        told.weeks.append(week)
        told.unmet[monday] += _unmet(as_it_is, monday)
        told.unmet_with_pacts[monday] += _unmet(as_it_would_be, monday)
        told.without.update(as_it_would_be.without)
        told.no_partner.update(as_it_would_be.no_partner)
        told.referred += as_it_would_be.referred
        told.km += as_it_is.km
        told.km_with_pacts += as_it_would_be.km
    return told


def _unmet(prospect: Prospect, monday: date) -> int:
    return sum(asked - had for day, (asked, had) in prospect.came.items() if monday <= day < monday + _WEEK * _DAY)


def _think() -> Think:
    return Think(
        rounds=lambda problem: solve(problem, clock=perf_counter, deadline=perf_counter() + _THINKING_SECONDS, seed=0),
        shifts=lambda region: best_staffing(region, clock=perf_counter, deadline=perf_counter() + _THINKING_SECONDS),
    )


def _picture(network: Network, policy: Policy, week: int) -> Picture:
    evenings = range(week * _WEEK - _LEAD_IN, (week + 1) * _WEEK)
    now = datetime.combine(network.parameters.first + evenings.start * _DAY, time(12), UTC)
    guests = [
        # Who comes earlier in the week has waited longer than who comes later.
        Guest(
            party.need,
            waited_hours=24.0 * (evenings.stop - evening) - party.minute / 60,
            left=party.need.people.count,
            origin=Origin(party.town.id, party.town.cell, party.need.max_km, party.town.id),
            comes=party.need.window.starts + (1 + party.minute // 60) * _HOUR,
        )
        for evening in evenings
        for party in network.parties(evening)
    ]
    days = [network.parameters.first + evening * _DAY for evening in range(evenings.start, evenings.stop + _LONGEST)]
    houses = tuple(_house(number, house, days, now) for number, house in enumerate(network.houses))
    return Picture(now, policy, tuple(guests), houses, (), ())


def _house(number: int, house: House, days: Sequence[date], now: datetime) -> pictures.House:
    slots = tuple(_slots(number, house, days))
    offer = replace(house.offer, slots=slots, verified_at=now)
    rooms = {slot.id: Room(slot.id, slot.window, house.places, 0) for slot in slots}
    return pictures.House(offer, house.offer.organization_id, None, 1, 0, rooms)


def _slots(number: int, house: House, days: Sequence[date]) -> Iterator[Slot]:
    zone = ZoneInfo(house.town.timezone)
    for at, day in enumerate(days):
        if day.month in house.months:
            opens = datetime.combine(day, time(19), zone).astimezone(UTC)
            closes = datetime.combine(day + _DAY, time(8), zone).astimezone(UTC)
            yield Slot(number * 100 + at, day, Window(opens, closes), closes, house.places, house.places)


def _facts(town: NetworkTown) -> TownFacts:
    return TownFacts(
        town.id, town.name, town.country, town.inhabitants, town.timezone, town.point, town.cell, (town.role,)
    )


def _pact(town: NetworkTown, partner: NetworkTown, to_partner: int, to_proposer: int) -> NewPact:
    return NewPact(
        town=town.id,
        partner=partner.id,
        to_partner_per_week=to_partner,
        to_proposer_per_week=to_proposer,
        crosses_border=town.country != partner.country,
    )
