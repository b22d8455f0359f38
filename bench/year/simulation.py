"""The year as it is lived, evening by evening: who finds a place at home, who is passed on, who stays without.

The rules, the costs and the order of partners are the service's own (`matching.rules`, `assign`, `fairness`,
`referring`); what is here is what its database keeps: which places are free, and at which minute things fall due. Who
comes is sought a place at once; who has none when the policy says so is referred; a partner that answers one by one
does so after a while, and by then the place may be gone: then the people go on once more, or come home. Rounds are left
out: they think as long as the machine's clock lets them. `bench.year.database` does the same through the service.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from heapq import heappop, heappush
from typing import Final

from bench.year.facts import House, Network, Party
from geo.distance import Kilometres, kilometres_between
from matching import fairness
from matching.assign import Candidate, ranked, tie_of
from matching.needs import Need
from matching.passing_on import Book
from matching.pictures import Origin, Passage
from matching.policy import Policy
from matching.referring import Partner, there
from matching.rules import Circumstances, failures, radius
from matching.vocabulary import Acceptance

__all__ = ["Lived", "live"]

_KEY: Final = b"the year"
_OF_ROOM: Final = frozenset({"window", "capacity"})
"""Rules that hang on slots, which are counted here."""


@dataclass
class Lived:
    """What came of it, in people; weeks are counted by their Monday, the load of towns in nights of people."""

    asked: Counter[date] = field(default_factory=Counter)
    at_home: Counter[date] = field(default_factory=Counter)
    passed_on: Counter[date] = field(default_factory=Counter)
    unmet: Counter[date] = field(default_factory=Counter)
    load: Counter[int] = field(default_factory=Counter)
    km: int = 0
    """Of all who have a place: people times kilometres."""
    answers: Counter[str] = field(default_factory=Counter)
    """Referrals, by what came of them: asked, accepted, declined, placed, returned, and onward for a second town."""

    @property
    def unmet_people(self) -> int:
        """In the whole time."""
        return self.unmet.total()


@dataclass(frozen=True, slots=True)
class _Due:
    """What falls due: a party is referred, or a partner answers for it."""

    party: Party
    origin: Origin
    partner: Partner | None = None
    """The one that answers."""
    host: Partner | None = None
    """The one that has taken the people already, without a place for them so far."""
    comes_home_at: int | None = None


def live(
    network: Network,
    passages: Sequence[Passage],
    policy: Policy,
    evenings: Sequence[int],
    ties: Sequence[int] | None = None,
) -> Lived:
    """Live these evenings, which follow each other, under these pacts. `ties` are the houses' places among equals."""
    return _Year(network, passages, policy, ties).live(evenings)


class _Year:
    def __init__(
        self, network: Network, passages: Sequence[Passage], policy: Policy, ties: Sequence[int] | None
    ) -> None:
        self._network = network
        self._policy = policy
        self._book = Book(passages, policy)
        self._used: Counter[tuple[int, date]] = Counter()
        self._near: dict[object, list[tuple[Kilometres, int]]] = {}
        self._ties = ties or [tie_of(house.offer.id, _KEY) for house in network.houses]
        self._loads = fairness.Loads({}, {})
        self._queue: list[tuple[int, int, _Due]] = []
        self._counted = 0
        self._evening = 0
        self.lived = Lived()

    def live(self, evenings: Sequence[int]) -> Lived:
        for evening in evenings:
            self._evening = evening
            self._loads = self._loads_of(self._network.parameters.first + timedelta(days=evening))
            for party in self._network.parties(evening):
                self._until(party.minute)
                self._come(party)
            self._until(None)
        return self.lived

    def _until(self, minute: int | None) -> None:
        """Do what is due before a minute of the evening; all that is left without one."""
        while self._queue and (minute is None or self._queue[0][0] <= minute):
            now, _, due = heappop(self._queue)
            if due.partner is not None:
                self._answer(now, due, due.partner)
            else:
                self._refer(now, due)

    def _come(self, party: Party) -> None:
        week = _monday(party)
        self.lived.asked[week] += party.need.people.count
        if (candidate := self._sought(party.need)) is not None:
            self.lived.at_home[week] += party.need.people.count
            self._take(party.need, *candidate, 0)
            return
        self.lived.unmet[week] += party.need.people.count
        origin = Origin(party.town.id, party.town.cell, party.need.max_km, party.town.id)
        self._later(party.minute + self._patience(party.need), _Due(party, origin))

    def _refer(self, now: int, due: _Due) -> None:
        """Ask the best partner that has something free."""
        due = self._home_in_time(now, due)
        need, people = due.party.need, due.party.need.people.count
        for partner in self._book.options(need, due.origin).partners:
            if self._candidates(self._around(due, partner)):
                self._book.take(partner, people)
                self.lived.answers["asked"] += 1
                if partner.acceptance is Acceptance.STANDING:
                    self._accept(now, due, partner)
                else:
                    self._later(now + self._network.parameters.answer_minutes, replace(due, partner=partner))
                return
        if due.comes_home_at is not None:
            self._later(due.comes_home_at, due)

    def _answer(self, now: int, due: _Due, partner: Partner) -> None:
        due = self._home_in_time(now, replace(due, partner=None))
        if self._network.declines(self._evening, due.party.number, partner.town_id):
            self.lived.answers["declined"] += 1
            self._book.give_back(partner, due.party.need.people.count)
            self._refer(now, replace(due, origin=_tried(due.origin, partner)))
        else:
            self._accept(now, due, partner)

    def _accept(self, now: int, due: _Due, partner: Partner) -> None:
        """A place is sought around the partner; whoever had taken the people before is free of them."""
        need, week = due.party.need, _monday(due.party)
        self.lived.answers["accepted"] += 1
        if due.host is not None:
            self._book.give_back(due.host, need.people.count)
            self.lived.answers["onward"] += 1
        found = self._sought(self._around(due, partner))
        if found is not None:
            self.lived.answers["placed"] += 1
            self.lived.passed_on[week] += need.people.count
            self.lived.unmet[week] -= need.people.count
            self._take(need, *found, partner.km)
            return
        origin = replace(
            _tried(due.origin, partner), searched_town_id=partner.town_id, accepted=due.origin.accepted + 1
        )
        home = now + self._policy.refer_search_minutes
        self._later(min(now + self._patience(need), home), _Due(due.party, origin, host=partner, comes_home_at=home))

    def _home_in_time(self, now: int, due: _Due) -> _Due:
        """Who was taken by a town that had no place in time is looked after at home again."""
        if due.host is None or due.comes_home_at is None or now < due.comes_home_at:
            return due
        self._book.give_back(due.host, due.party.need.people.count)
        self.lived.answers["returned"] += 1
        return _Due(due.party, replace(due.origin, searched_town_id=due.origin.town_id))

    def _around(self, due: _Due, partner: Partner) -> Need:
        return there(replace(due.party.need, max_km=due.origin.max_km), partner)

    def _later(self, minute: int, due: _Due) -> None:
        self._counted += 1
        heappush(self._queue, (minute, self._counted, due))

    def _patience(self, need: Need) -> int:
        return self._policy.refer_after_minutes[need.urgency]

    def _sought(self, need: Need) -> tuple[int, Kilometres] | None:
        """The house that costs least, and how far it is."""
        found = self._candidates(need)
        if not found:
            return None
        best = ranked((candidate for _, candidate in found), self._policy)[0]
        return next((number, best.distance) for number, candidate in found if candidate is best)

    def _candidates(self, need: Need) -> list[tuple[int, Candidate]]:
        """The nearest houses with room, and any as far as the last of them."""
        found: list[tuple[int, Candidate]] = []
        for km, number in self._fitting(need):
            if len(found) >= self._policy.candidates and km > found[-1][1].distance:
                break
            house = self._network.houses[number]
            free = min(self._free(number, house, day) for day in need.days)
            if free >= need.people.count:
                found.append((number, self._candidate(number, house, km, free)))
        return found

    def _candidate(self, number: int, house: House, km: Kilometres, free: int) -> Candidate:
        return Candidate(
            offer_id=house.offer.id,
            slots=(),
            free=free,
            capacity=house.places,
            distance=km,
            tie=self._ties[number],
            version=1,
            town_load=self._loads.town.get(house.town.id, 0.0),
            association_load=0.0,
        )

    def _free(self, number: int, house: House, day: date) -> int:
        return house.places - self._used[number, day] if day.month in house.months else 0

    def _take(self, need: Need, number: int, km: Kilometres, before: int) -> None:
        people = need.people.count
        for day in need.days:
            self._used[number, day] += people
        self.lived.load[self._network.houses[number].town.id] += people * len(need.days)
        self.lived.km += people * (km + before)

    def _fitting(self, need: Need) -> list[tuple[Kilometres, int]]:
        """Houses that keep every rule but those of room, nearest first; the same for all who ask for the same there."""
        kind = (need.cell, need.requires, need.countries, need.max_km)
        if kind not in self._near:
            at = Circumstances(self._policy, self._network.houses[0].offer.verified_at)
            reach = radius(need, self._policy)
            near = [(kilometres_between(need.cell, each.offer.cell), n) for n, each in enumerate(self._network.houses)]
            self._near[kind] = [
                (km, number)
                for km, number in sorted(near)
                if km <= reach
                and {each.rule for each in failures(need, self._network.houses[number].offer, at)} <= _OF_ROOM
            ]
        return self._near[kind]

    def _loads_of(self, day: date) -> fairness.Loads:
        houses = [
            fairness.House(house.town.id, house.offer.organization_id, self._used[number, day], house.places)
            for number, house in enumerate(self._network.houses)
            if day.month in house.months
        ]
        inhabitants = {town.id: town.inhabitants for town in self._network.towns}
        return fairness.loads_of(houses, inhabitants, frozenset(), self._policy)


def _tried(origin: Origin, partner: Partner) -> Origin:
    return replace(origin, tried=origin.tried | {partner.town_id})


def _monday(party: Party) -> date:
    day = party.need.days[0]
    return day - timedelta(days=day.weekday())
