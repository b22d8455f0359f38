"""What comes of a picture of the nights ahead: who gets a place, where volunteers are called, who stays without.

The steps are those of the service: all who wait are decided together by the engine, volunteers are planned for those
who find nothing, whom no volunteers can serve is placed anew; again and again until nothing changes. Who has a place
keeps it. The engine and the planner are given, so that nothing here knows a clock.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

import numpy as np

from geo.distance import kilometres_between
from matching.engine.problem import Integers, Plan, Problem
from matching.needs import Need, NeedId
from matching.offers import Offer
from matching.pictures import House, Picture, Room, Serving, Stay, Volunteers
from matching.rounds import Asking, problem_of
from matching.rules import RULES, Circumstances, cover, failures, radius
from matching.staffing import Choice, Crew, Duty, Party, Region, StaffingPlan, Watch

__all__ = ["Prospect", "Think", "look_ahead"]

_LOOKS = 12
_OPEN_ROOM = 1_000_000


@dataclass(frozen=True, slots=True)
class Think:
    """The engine and the planner of shifts, each with its time."""

    rounds: Callable[[Problem], Plan]
    shifts: Callable[[Region], StaffingPlan]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What comes of a picture, in people."""

    asked: int
    served: tuple[int, int, int]
    """By tier, the vital first."""
    stayed: int
    """Of them, who have a place already and keep it."""
    without: Mapping[str, int]
    """By the rule that comes nearest to being kept: see `docs/whatif.md`."""
    km: int
    """People times kilometres."""
    shifts: int
    volunteers: int
    called: int
    """Of the shifts, those that are not planned yet."""
    nights: Mapping[date, tuple[int, int]]
    """By night: people who ask for it, and of them those with a place."""

    @property
    def placed(self) -> int:
        """All who have a place."""
        return sum(self.served)


def look_ahead(picture: Picture, think: Think) -> Prospect:
    """What comes of a picture."""
    evening = _Evening(picture)
    for _ in range(_LOOKS):
        placed = evening.decide(think.rounds)
        called = evening.call(think.shifts)
        if not placed and not called:
            break
    return evening.prospect()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a party could go: a house by its number, the slots there, and how far."""

    house: int
    slots: tuple[int, ...]
    km: int


@dataclass
class _Evening:
    """A picture under way."""

    picture: Picture
    used: dict[int, int] = field(default_factory=dict)
    rooms: dict[int, Room] = field(default_factory=dict)
    house_of: dict[int, House] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    stays: list[list[Stay]] = field(default_factory=list)
    shifts: list[Serving] = field(default_factory=list)
    places: list[tuple[_Place, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for house in self.picture.houses:
            for slot, room in house.rooms.items():
                self.rooms[slot], self.house_of[slot], self.used[slot] = room, house, room.used
        self.shifts = list(self.picture.shifts)
        self.left = [guest.left for guest in self.picture.guests]
        self.stays = [list(guest.stays) for guest in self.picture.guests]
        alike: dict[Need, tuple[_Place, ...]] = {}
        for guest in self.picture.guests:
            asked = replace(guest.need, id=_NOBODY)
            if asked not in alike:
                alike[asked] = self._places_for(guest.need)
            self.places.append(alike[asked])

    def decide(self, solve: Callable[[Problem], Plan]) -> bool:
        """Place all who wait where there is room and whom volunteers serve. Whether anybody was."""
        waiting = [number for number, left in enumerate(self.left) if left and self.places[number]]
        pairs = [
            (row, place)
            for row, number in enumerate(waiting)
            for place in self.places[number]
            if min(self._open(slot) for slot in place.slots) >= self._least(number)
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
        return bool(calls) or any(released)

    def prospect(self) -> Prospect:
        """The sum of it."""
        guests = self.picture.guests
        served = [0, 0, 0]
        nights: dict[date, tuple[int, int]] = {}
        for guest, left in zip(guests, self.left, strict=True):
            placed = guest.need.people.count - left
            served[guest.need.urgency.tier] += placed
            for day in guest.need.days:
                asked, had = nights.get(day, (0, 0))
                nights[day] = asked + guest.need.people.count, had + placed
        without: Counter[str] = Counter()
        for number, left in enumerate(self.left):
            if left:
                without[self._why(number)] += left
        live = [shift for shift in self.shifts if shift.live and shift.window.ends > self.picture.now]
        before = {id(stay) for guest in guests for stay in guest.stays}
        every = [stay for stays in self.stays for stay in stays]
        return Prospect(
            asked=sum(guest.need.people.count for guest in guests),
            served=(served[0], served[1], served[2]),
            stayed=sum(stay.people for stay in every if id(stay) in before),
            without=dict(sorted(without.items())),
            km=sum(stay.people * stay.km for stay in every),
            shifts=len(live),
            volunteers=sum(shift.volunteers for shift in live),
            called=len(self.shifts) - len(self.picture.shifts),
            nights=dict(sorted(nights.items())),
        )

    def _places_for(self, need: Need) -> tuple[_Place, ...]:
        """The nearest houses that keep every rule but the number of places."""
        at = Circumstances(self.picture.policy, self.picture.now)
        near = sorted(
            (km, number)
            for number, house in enumerate(self.picture.houses)
            if house.offer.category == need.category
            and (km := kilometres_between(need.cell, house.offer.cell)) <= radius(need, self.picture.policy)
        )
        found: list[_Place] = []
        for km, number in near:
            roomy = _with_room(self.picture.houses[number].offer)
            if next(failures(need, roomy, at), None) is None:
                found.append(_Place(number, tuple(slot.id for slot in cover(need, roomy, at.now)), km))
                if len(found) == self.picture.policy.round_candidates:
                    break
        return tuple(found)

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
            released = True
        return released

    def _region(self) -> Region:
        parties = []
        for number, left in enumerate(self.left):
            choices = [
                Choice(place.slots, place.km)
                for place in self.places[number]
                if left and self.picture.houses[place.house].skill is not None
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

    def _why(self, number: int) -> str:
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
