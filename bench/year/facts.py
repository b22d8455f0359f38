"""The facts of the year, from a seed: who comes on which evening, which houses there are, which pacts could be.

Every number that shapes them stands in `Parameters`, which `docs/year.md` prints; nothing else does. An evening's facts
depend on the seed and the day alone, so two runs, or a sample of some weeks, have the same people at the door.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from math import cos, pi
from typing import Final, TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np

from bench.year.towns import COUNTRIES, NetworkTown
from geo.distance import great_circle, kilometres_between
from matching.needs import Need, NeedId, OfferId, People
from matching.offers import Offer
from matching.pictures import Passage
from matching.states import OfferState
from matching.vocabulary import Acceptance, Audience, Coverage, SiteKind, Stay, TownRole, Urgency
from matching.windows import Window, nights_of

__all__ = ["House", "Network", "Pact", "Parameters", "Party", "network_of"]

T = TypeVar("T")
_NAMES: Final = UUID("6d0f4f0e-0a53-4d8e-9a4f-1c3d8f5f6b21")
_SIZES: Final = ((1, 0.46), (2, 0.24), (3, 0.12), (4, 0.10), (5, 0.05), (6, 0.03))
_NIGHTS: Final = ((1, 0.60), (2, 0.25), (3, 0.15))
_URGENCIES: Final = ((Urgency.VITAL, 0.15), (Urgency.HIGH, 0.35), (Urgency.NORMAL, 0.50))
_MOST_KM: Final = ((None, 0.55), (150, 0.15), (100, 0.15), (40, 0.15))
_REQUIRES: Final = ((), 0.86), (("step_free",), 0.06), (("family_room",), 0.05), (("women_only",), 0.03)
_PROVIDES: Final = (("step_free", 0.7), ("family_room", 0.5), ("women_only", 0.1))
_PARTNER_KM: Final = 150
"""As far as the first policy refers people."""
_COMES: Final = time(18)
_LEAVES: Final = time(9)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the year is made of."""

    seed: int = 1
    first: date = date(2027, 1, 4)
    """The year's first evening, a Monday."""
    evenings: int = 365
    parties_an_evening: float = 200.0
    """In the whole network, in the mean of the year."""
    share_of: Mapping[TownRole, float] = field(
        default_factory=lambda: {TownRole.BORDER: 0.70, TownRole.TRANSIT: 0.25, TownRole.HOST: 0.05}
    )
    """Of those who come, by what the town is; between towns of a kind by weights with a lognormal spread."""
    spread: float = 0.8
    season: float = 0.35
    """In the summer so much more than in the mean, in the winter so much less."""
    peak_day: int = 240
    burst: float = 0.03
    """On how many evenings of a town `burst_times` as many come."""
    burst_times: float = 4.0
    consenting: float = 0.45
    """Parties that may be sent over a border."""
    houses_of: Mapping[TownRole, int] = field(
        default_factory=lambda: {TownRole.BORDER: 2, TownRole.TRANSIT: 2, TownRole.HOST: 2}
    )
    places_of: Mapping[TownRole, float] = field(
        default_factory=lambda: {TownRole.BORDER: 6.0, TownRole.TRANSIT: 7.0, TownRole.HOST: 30.0}
    )
    """Places of a house in the median, by what its town is; with a lognormal spread of `places_spread`."""
    places_spread: float = 0.6
    winter_only: float = 0.25
    """Of the houses, open from November to March alone."""
    partners: int = 2
    """Hosts with which each border and transit town makes a pact: the nearest, within the policy's limit."""
    inhabitants_a_place: int = 6_000
    """A host takes one person a week for so many inhabitants, under each pact."""
    week_least: int = 5
    week_most: int = 30
    back_a_week: int = 5
    """What the border or transit town takes in return."""
    between_hosts: int = 10
    """What each host and its nearest take of each other."""
    each: float = 0.5
    """Of the pacts, those under which the partner answers one by one; the others accept beforehand."""
    declined: float = 0.10
    """Of what is asked one by one."""
    answer_minutes: int = 45


@dataclass(frozen=True, slots=True)
class House:
    """An offer without its slots, its places, and in which months it is open (1 to 12)."""

    offer: Offer
    town: NetworkTown
    places: int
    months: frozenset[int]


@dataclass(frozen=True, slots=True)
class Party:
    """Who comes: their need, to which town, how many minutes after six, and their number in the evening."""

    number: int
    minute: int
    town: NetworkTown
    need: Need


@dataclass(frozen=True, slots=True)
class Pact:
    """Two towns that share, and how many people a week each takes of the other."""

    id: UUID
    town: NetworkTown
    partner: NetworkTown
    to_partner: int
    to_proposer: int
    acceptance: Acceptance


@dataclass(frozen=True)
class Network:
    """The towns with their houses, and the pacts that they could make."""

    parameters: Parameters
    towns: Sequence[NetworkTown]
    houses: Sequence[House]
    pacts: Sequence[Pact]

    @cached_property
    def passages(self) -> Sequence[Passage]:
        """Both directions of every pact."""
        return [
            _passage(pact, from_, to, per_week)
            for pact in self.pacts
            for from_, to, per_week in (
                (pact.town, pact.partner, pact.to_partner),
                (pact.partner, pact.town, pact.to_proposer),
            )
            if per_week
        ]

    @cached_property
    def by_id(self) -> Mapping[int, NetworkTown]:
        """Towns by GeoNames id."""
        return {town.id: town for town in self.towns}

    @cached_property
    def _weights(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(towns,) parties of a mean evening."""
        given = self.parameters
        chance = np.random.default_rng((given.seed, 1))
        drawn = chance.lognormal(0, given.spread, len(self.towns))
        roles = np.array([town.role for town in self.towns])
        for role, share in given.share_of.items():
            of_role = roles == role
            if of_role.any():
                drawn[of_role] *= share / drawn[of_role].sum()
        return np.asarray(drawn * given.parties_an_evening, np.float64)

    def parties(self, evening: int) -> list[Party]:
        """Who comes on an evening (0 is the first), in the order in which they come."""
        given = self.parameters
        chance = np.random.default_rng((given.seed, 2, evening))
        season = 1 + given.season * cos(2 * pi * (evening - given.peak_day) / 365)
        bursts = np.where(chance.random(len(self.towns)) < given.burst, given.burst_times, 1.0)
        counts = chance.poisson(self._weights * season * bursts / (1 + given.burst * (given.burst_times - 1)))
        towns = np.repeat(np.arange(len(self.towns)), counts)
        minutes = np.sort(chance.integers(0, 240, len(towns)))
        chance.shuffle(towns)
        drawn = [_chosen(chance, each, len(towns)) for each in (_SIZES, _NIGHTS, _URGENCIES, _MOST_KM, _REQUIRES)]
        consents = chance.random(len(towns)) < given.consenting
        return [
            self._party(evening, number, int(minutes[number]), self.towns[town], bool(consents[number]), *choices)
            for number, (town, *choices) in enumerate(zip(towns.tolist(), *drawn, strict=True))
        ]

    def declines(self, evening: int, number: int, town_id: int) -> bool:
        """Whether a partner that is asked for a party says no."""
        chance = np.random.default_rng((self.parameters.seed, 3, evening, number, town_id))
        return bool(chance.random() < self.parameters.declined)

    def _party(
        self,
        evening: int,
        number: int,
        minute: int,
        town: NetworkTown,
        consents: bool,  # noqa: FBT001 - it is what was drawn
        size: int,
        nights: int,
        urgency: Urgency,
        max_km: int | None,
        requires: tuple[str, ...],
    ) -> Party:
        window = _window(self.parameters.first + timedelta(days=evening), nights, town.timezone)
        need = Need(
            id=NeedId(uuid5(_NAMES, f"{evening}.{number}")),
            category="shelter",
            coverage=Coverage.EVERY,
            cell=town.cell,
            people=People(size, 0),
            window=window,
            days=nights_of(window, ZoneInfo(town.timezone)),
            urgency=urgency,
            stay=Stay.TRANSIT,
            audience=frozenset({Audience.ANYONE}),
            requires=frozenset(requires),
            countries=frozenset(COUNTRIES if consents else (town.country,)),
            max_km=max_km,
            divisible=False,
            language=None,
        )
        return Party(number, minute, town, need)


def network_of(towns: Sequence[NetworkTown], parameters: Parameters) -> Network:
    """The network of these towns, with its pacts."""
    return Network(parameters, towns, _houses(towns, parameters), _pacts(towns, parameters))


def _window(evening: date, nights: int, zone: str) -> Window:
    starts = datetime.combine(evening, _COMES, ZoneInfo(zone))
    ends = datetime.combine(evening + timedelta(days=nights), _LEAVES, ZoneInfo(zone))
    return Window(starts.astimezone(UTC), ends.astimezone(UTC))


def _chosen(chance: np.random.Generator, shares: Sequence[tuple[T, float]], count: int) -> list[T]:
    drawn = chance.choice(len(shares), count, p=[share for _, share in shares])
    return [shares[each][0] for each in drawn.tolist()]


def _houses(towns: Sequence[NetworkTown], given: Parameters) -> list[House]:
    houses = []
    for town in towns:
        chance = np.random.default_rng((given.seed, 4, town.id))
        for number in range(given.houses_of[town.role]):
            provides = {feature for feature, share in _PROVIDES if chance.random() < share}
            places = max(2, round(given.places_of[town.role] * chance.lognormal(0, given.places_spread)))
            winter_only = number > 0 and chance.random() < given.winter_only
            offer = Offer(
                id=OfferId(uuid5(_NAMES, f"house {town.id}.{number}")),
                organization_id=uuid5(_NAMES, f"organization {town.id}"),
                town_id=town.id,
                category="shelter",
                state=OfferState.OPEN,
                cell=town.cell,
                country=town.country,
                site_kind=SiteKind.MUNICIPAL_BUILDING,
                vetted=True,
                audience=frozenset({Audience.ANYONE}),
                provides=frozenset(provides),
                language=None,
                party_max=None,
                nights_max=None,
                verified_at=datetime.combine(given.first, time(12), UTC),
            )
            months = frozenset({11, 12, 1, 2, 3}) if winter_only else frozenset(range(1, 13))
            houses.append(House(offer, town, places, months))
    return houses


def _pacts(towns: Sequence[NetworkTown], given: Parameters) -> list[Pact]:
    """Of each border and transit town with the nearest hosts, and between hosts along the map."""
    hosts = [town for town in towns if town.role is TownRole.HOST]
    pairs = []
    for town in towns:
        if town.role is not TownRole.HOST:
            near = sorted(hosts, key=lambda host: great_circle(town.point, host.point))
            within = [host for host in near if kilometres_between(town.cell, host.cell) <= _PARTNER_KM]
            pairs += [(town, host, _week_of(host, given), given.back_a_week) for host in within[: given.partners]]
    along = sorted(hosts, key=lambda host: (host.point.longitude, host.id))
    pairs += [
        (here, there, given.between_hosts, given.between_hosts)
        for here, there in pairwise(along)
        if kilometres_between(here.cell, there.cell) <= _PARTNER_KM
    ]
    chance = np.random.default_rng((given.seed, 5))
    return [
        Pact(
            uuid5(_NAMES, f"pact {number}"),
            *terms,
            Acceptance.EACH if chance.random() < given.each else Acceptance.STANDING,
        )
        for number, terms in enumerate(pairs)
    ]


def _week_of(host: NetworkTown, given: Parameters) -> int:
    return min(max(host.inhabitants // given.inhabitants_a_place, given.week_least), given.week_most)


def _passage(pact: Pact, from_: NetworkTown, to: NetworkTown, per_week: int) -> Passage:
    return Passage(
        pact_id=pact.id,
        from_town_id=from_.id,
        to_town_id=to.id,
        town=to.name,
        cell=to.cell,
        country=to.country,
        inhabitants=to.inhabitants,
        abroad=from_.country != to.country,
        categories=frozenset({"shelter"}),
        crosses_border=from_.country != to.country,
        acceptance=pact.acceptance,
        per_week=per_week,
        used={},
    )
