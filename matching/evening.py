"""A picture under way: the steps by which places, shifts and pacts are given to those who wait.

It holds what is taken so far; whoever drives it (`matching.prospects`) says in which order the steps are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import islice
from uuid import UUID

import numpy as np

from geo.cells import Cell
from geo.distance import Kilometres, kilometres_between
from matching.assign import Candidate, ranked
from matching.engine.problem import Integers, Plan, Problem
from matching.needs import Need, NeedId
from matching.offers import Offer
from matching.passing_on import Book
from matching.pictures import House, Picture, Room, Serving, Stay, Volunteers
from matching.referring import Partner, there
from matching.rounds import Asking, problem_of
from matching.rules import RULES, Circumstances, cover, failures, radius
from matching.staffing import Choice, Crew, Duty, Party, Region, StaffingPlan, Watch
from matching.vocabulary import Urgency

__all__ = ["Evening"]

_OPEN_ROOM = 1_000_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a party could go: a house by its number, the slots there, and how far."""

    house: int
    slots: tuple[int, ...]
    km: int


@dataclass
class Evening:
    """A picture under way."""

    picture: Picture
    moment: datetime = _BEFORE_ALL
    """Who comes later is not known yet."""
    used: dict[int, int] = field(default_factory=dict)
    rooms: dict[int, Room] = field(default_factory=dict)
    house_of: dict[int, House] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    stays: list[list[Stay]] = field(default_factory=list)
    shifts: list[Serving] = field(default_factory=list)
    places: list[tuple[_Place, ...]] = field(default_factory=list)
    passed_on: dict[int, Partner] = field(default_factory=dict)
    """By the party's number: the town that took it."""
    book: Book = field(init=False)
    in_vain: set[int] = field(default_factory=set)
    alike: dict[Need, tuple[_Place, ...]] = field(default_factory=dict)
    outward: dict[Cell, list[tuple[Kilometres, int]]] = field(default_factory=dict)
    roomy: list[Offer] = field(default_factory=list)

    def __post_init__(self) -> None:
        for house in self.picture.houses:
            for slot, room in house.rooms.items():
                self.rooms[slot], self.house_of[slot], self.used[slot] = room, house, room.used
        self.shifts = list(self.picture.shifts)
        self.left = [guest.left for guest in self.picture.guests]
        self.stays = [list(guest.stays) for guest in self.picture.guests]
        self.roomy = [_with_room(house.offer) for house in self.picture.houses]
        self.book = Book(self.picture.passages, self.picture.policy)
        self.places = [self._places_for(guest.need) for guest in self.picture.guests]

    def receive(self) -> None:
        """Those who come at this moment, unannounced, are placed at once as the service does: one after the other."""
        guests = self.picture.guests
        here = [number for number, guest in enumerate(guests) if guest.comes == self.moment and self.left[number]]
        for number in sorted(here, key=lambda each: -guests[each].waited_hours):
            if (place := self._best_at_once(number)) is not None:
                self._seat(number, place, self.left[number])

    def decide(self, solve: Callable[[Problem], Plan]) -> bool:
        """Place all who wait where there is room and whom volunteers serve. Whether anybody was."""
        waiting = [number for number in self._waiting() if self.places[number] and number not in self.in_vain]
        pairs = [
            (row, place)
            for row, number in enumerate(waiting)
            for place in self.places[number]
            if self._room(place) >= self._least(number)
        ]
        if not pairs:
            return False
        days = [day for number in waiting for day in self.picture.guests[number].need.days]
        asking = [self._asking(number, min(days)) for number in waiting]
        free = self._free(min(days), (max(days) - min(days)).days + 1)
        columns = (
            np.array([row for row, _ in pairs], np.int64),
            np.array([place.house for _, place in pairs], np.int64),
            np.array([place.km for _, place in pairs], np.float64),
        )
        plan = solve(problem_of(asking, free, columns))
        at = {(row, place.house): place for row, place in pairs}
        for row, house, people in zip(plan.need.tolist(), plan.offer.tolist(), plan.people.tolist(), strict=True):
            self._seat(waiting[row], at[row, house], people)
        return len(plan.need) > 0

    def call(self, plan: Callable[[Region], StaffingPlan]) -> bool:
        """Call volunteers for those who found nothing, and release whom none serve. Whether anything changed."""
        region = self._region()
        if not region.watches:
            return False
        calls = plan(region).calls if region.crews else ()
        for call in calls:
            pledge, window = self.picture.volunteers[call.crew], self.rooms[call.slot].window
            self.shifts.append(Serving(pledge.pledge_id, call.slot, window, call.day, call.volunteers))
        released = [self._release(slot) for slot in sorted(region.watches)]
        changed = bool(calls) or any(released)
        if changed:
            self.in_vain.clear()
        return changed

    def pass_on(self) -> bool:
        """Refer those who found nothing to partner towns that have a place for them now. Whether anybody was.

        In the order in which it comes to it: who comes first, then who is more urgent, then who waits longer.
        """
        guests = self.picture.guests
        waiting = [
            (guests[number].need.days[0], guests[number].need.urgency.tier, -guests[number].waited_hours, number)
            for number in self._waiting()
            if guests[number].origin is not None
            and self.left[number] == guests[number].need.people.count
            and number not in self.in_vain
        ]
        return sum(self._pass_on(number) for *_, number in sorted(waiting)) > 0

    def give_up(self) -> None:
        """Nothing changes any more: who has no place now is not looked at again until somebody gives one back."""
        self.in_vain.update(self._waiting())

    def why(self, number: int) -> str:
        """The rule that keeps a party out of the house that comes nearest to taking it."""
        need = self.picture.guests[number].need
        same = [house for house in self.picture.houses if house.offer.category == need.category]
        if not same:
            return "category"
        most = radius(need, self.picture.policy)
        near = [house for house in same if kilometres_between(need.cell, house.offer.cell) <= most]
        if not near:
            return "distance"
        at = Circumstances(self.picture.policy, self.picture.now)
        first = [next(failures(need, self._as_it_is(house), at), None) for house in near]
        # A house that fits has been given to others in the same moment, or is a matter of who fits beside whom.
        return max((failure.rule if failure else "capacity" for failure in first), key=_ORDER.index)

    def why_no_partner(self, number: int) -> str | None:
        """The rule that comes nearest to letting a party be passed on; nothing for who is passed on to nobody."""
        guest = self.picture.guests[number]
        if guest.origin is None or self.left[number] < guest.need.people.count:
            return None
        options = self.book.options(guest.need, guest.origin)
        return "free" if options.partners else options.nearest_rule

    def _best_at_once(self, number: int) -> _Place | None:
        """Of the nearest with room for all of a party, the one that costs least."""
        roomy = (place for place in self.places[number] if self._room(place) >= self.left[number])
        near = {
            self.picture.houses[place.house].offer.id: place for place in islice(roomy, self.picture.policy.candidates)
        }
        best = ranked((self._candidate(place) for place in near.values()), self.picture.policy)
        return near[best[0].offer_id] if best else None

    def _candidate(self, place: _Place) -> Candidate:
        offer = self.picture.houses[place.house].offer
        return Candidate(
            offer_id=offer.id,
            slots=place.slots,
            free=self._room(place),
            capacity=min(self.rooms[slot].places for slot in place.slots),
            distance=Kilometres(place.km),
            tie=0,
            version=0,
            town_load=offer.town_load,
            association_load=offer.association_load,
        )

    def _room(self, place: _Place) -> int:
        return min(self._open(slot) for slot in place.slots)

    def _pass_on(self, number: int) -> bool:
        guest = self.picture.guests[number]
        if guest.origin is None:
            return False
        people = self.left[number]
        for partner in self.book.options(guest.need, guest.origin).partners:
            around = self._places_for(there(replace(guest.need, max_km=guest.origin.max_km), partner))
            place = next((each for each in around if self._room(each) >= people), None)
            if place is not None:
                self.book.take(partner, people)
                self.passed_on[number] = partner
                self._seat(number, replace(place, km=partner.km + place.km), people)
                return True
        return False

    def _waiting(self) -> list[int]:
        """Who is there, or is known to come, and lacks a place."""
        guests = self.picture.guests
        return [
            number
            for number, left in enumerate(self.left)
            if left and ((comes := guests[number].comes) is None or comes <= self.moment)
        ]

    def _places_for(self, need: Need) -> tuple[_Place, ...]:
        """The nearest houses that keep every rule but the number of places."""
        # Who asks for the same in the same town finds the same, however urgent it is.
        asked = replace(need, id=_NOBODY, urgency=Urgency.NORMAL)
        if asked not in self.alike:
            self.alike[asked] = self._search(need)
        return self.alike[asked]

    def _search(self, need: Need) -> tuple[_Place, ...]:
        at = Circumstances(self.picture.policy, self.picture.now)
        most = radius(need, self.picture.policy)
        found: list[_Place] = []
        for km, number in self._outward(need.cell):
            if km > most or len(found) == self.picture.policy.round_candidates:
                break
            roomy = self.roomy[number]
            if roomy.category == need.category and next(failures(need, roomy, at), None) is None:
                found.append(_Place(number, tuple(slot.id for slot in cover(need, roomy, at.now)), km))
        return tuple(found)

    def _outward(self, cell: Cell) -> list[tuple[Kilometres, int]]:
        """All houses, the nearest first."""
        if cell not in self.outward:
            houses = enumerate(self.picture.houses)
            self.outward[cell] = sorted(
                (kilometres_between(cell, house.offer.cell), number) for number, house in houses
            )
        return self.outward[cell]

    def _asking(self, number: int, first: date) -> Asking:
        guest = self.picture.guests[number]
        need = guest.need
        return Asking(
            people=self.left[number],
            tier=need.urgency.tier,
            waited_hours=guest.waited_hours,
            first_night=(need.days[0] - first).days,
            last_night=(need.days[-1] - first).days,
            divisible=need.divisible,
        )

    def _free(self, first: date, nights: int) -> Integers:
        """(houses, nights) places that may be given now, from the first day on."""
        free = np.zeros((len(self.picture.houses), nights), np.int64)
        for number, house in enumerate(self.picture.houses):
            for slot in house.offer.slots:
                if 0 <= (night := (slot.day - first).days) < nights:
                    free[number, night] = self._open(slot.id)
        return free

    def _least(self, number: int) -> int:
        return 1 if self.picture.guests[number].need.divisible else self.left[number]

    def _staffed(self, slot: int) -> int:
        """How many people the volunteers of a slot can serve."""
        house = self.house_of[slot]
        if house.skill is None:
            return _OPEN_ROOM
        there = self._volunteers(slot)
        return there * house.each if there >= max(1, house.minimum) else 0

    def _volunteers(self, slot: int) -> int:
        return sum(shift.volunteers for shift in self.shifts if shift.live and shift.slot == slot)

    def _open(self, slot: int) -> int:
        """Places that may be given now."""
        return max(0, min(self.rooms[slot].places, self._staffed(slot)) - self.used[slot])

    def _seat(self, number: int, place: _Place, people: int) -> None:
        for slot in place.slots:
            self.used[slot] += people
        self.left[number] -= people
        offer = self.picture.houses[place.house].offer
        self.stays[number].append(Stay(offer.id, place.slots, people, place.km, self.picture.now))

    def _release(self, slot: int) -> bool:
        """Let go whom the volunteers of a slot cannot serve: the least urgent, who came last, first."""
        most = max(self._staffed(slot), self.rooms[slot].kept)
        inside = [
            (-self.picture.guests[number].need.urgency.tier, -stay.since.timestamp(), number, stay)
            for number, stays in enumerate(self.stays)
            for stay in stays
            if slot in stay.slots and not stay.arrived
        ]
        released = False
        for *_, number, stay in sorted(inside, key=lambda each: each[:3]):
            if self.used[slot] <= most:
                break
            for each in stay.slots:
                if each in self.used:
                    self.used[each] -= stay.people
            self.stays[number].remove(stay)
            self.left[number] += stay.people
            if (partner := self.passed_on.pop(number, None)) is not None:
                self.book.give_back(partner, stay.people)
            released = True
        return released

    def _region(self) -> Region:
        parties = []
        for number in self._waiting():
            left = self.left[number]
            choices = [
                Choice(place.slots, place.km)
                for place in self.places[number]
                if self.picture.houses[place.house].skill is not None
                if min(self.rooms[slot].places - self.used[slot] for slot in place.slots) >= left
            ]
            if choices:
                parties.append(Party(left, self.picture.guests[number].need.urgency.tier, tuple(choices)))
        asked = {slot for party in parties for choice in party.choices for slot in choice.slots}
        short = {slot for slot in self.rooms if self.used[slot] > max(self._staffed(slot), self.rooms[slot].kept)}
        watches = {slot: self._watch(slot) for slot in sorted(asked | short) if self.house_of[slot].skill is not None}
        crews = tuple(self._crew(pledge) for pledge in self.picture.volunteers)
        return Region(tuple(parties), watches, crews, {slot: self._able(slot) for slot in watches})

    def _watch(self, slot: int) -> Watch:
        house, room = self.house_of[slot], self.rooms[slot]
        there = self._volunteers(slot)
        return Watch(slot, house.site_id, room.window, self.used[slot], room.places, there, house.each, house.minimum)

    def _crew(self, pledge: Volunteers) -> Crew:
        duties = tuple(
            Duty(shift.window, shift.day, shift.volunteers)
            for shift in self.shifts
            if shift.pledge_id == pledge.pledge_id
        )
        return Crew(pledge.pledge_id, pledge.organization_id, pledge.headcount, pledge.weekly, duties)

    def _able(self, slot: int) -> Sequence[tuple[int, date]]:
        house, window = self.house_of[slot], self.rooms[slot].window
        found = []
        for number, pledge in enumerate(self.picture.volunteers):
            fits = pledge.skill == house.skill and slot not in pledge.declined
            if fits and kilometres_between(pledge.cell, house.offer.cell) <= pledge.radius_km:
                turns = (turn for turn in pledge.turns if turn.starts <= window.starts and turn.ends >= window.ends)
                turn = next(turns, None)
                if turn is not None:
                    found.append((number, turn.day))
        return found

    def _as_it_is(self, house: House) -> Offer:
        slots = []
        for slot in house.offer.slots:
            free = self.rooms[slot.id].places - self.used[slot.id]
            served = self._open(slot.id)
            slots.append(replace(slot, free=served, unstaffed=max(0, free - served)))
        return replace(house.offer, slots=tuple(slots))


_ORDER = list(RULES)
_NOBODY = NeedId(UUID(int=0))


def _with_room(offer: Offer) -> Offer:
    """The offer with places for any party, so that every other rule is looked at."""
    roomy = tuple(replace(slot, free=_OPEN_ROOM, unstaffed=0) for slot in offer.slots)
    return replace(offer, slots=roomy)
