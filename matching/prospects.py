"""What comes of a picture of the nights ahead: who gets a place, where volunteers are called, who stays without.

The steps are those of the service: who comes unannounced is placed at once, all others who wait are decided together
by the engine, volunteers are planned for those who find nothing, whom no volunteers can serve is placed anew; then who
found nothing at home is passed on under pacts; again and again until nothing changes. Who has a place keeps it. The
engine and the planner are given, so that nothing here knows a clock.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from matching.engine.problem import Plan, Problem
from matching.evening import Evening
from matching.pictures import Picture
from matching.staffing import Region, StaffingPlan

__all__ = ["Prospect", "Think", "look_ahead"]

_LOOKS = 12


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
    came: Mapping[date, tuple[int, int]]
    """By the first of their nights: people who ask, and of them those with a place."""
    referred: int
    """Of those with a place, who found it in a partner town now."""
    no_partner: Mapping[str, int]
    """People without a place, by the rule of pacts that comes nearest to being kept."""
    in_projects: int
    """People of projects, who are not among those who ask: nobody places them here."""
    keep_together: int
    """Of them, who have a place and keep it."""

    @property
    def placed(self) -> int:
        """All who have a place."""
        return sum(self.served)


def look_ahead(picture: Picture, think: Think) -> Prospect:
    """What comes of a picture."""
    evening = Evening(picture)
    for evening.moment in sorted({guest.comes or picture.now for guest in picture.guests}):
        evening.receive()
        for _ in range(_LOOKS):
            placed = evening.decide(think.rounds)
            called = evening.call(think.shifts)
            if not placed and not called and not evening.pass_on():
                evening.give_up()
                break
    return _summed_up(evening)


def _summed_up(evening: Evening) -> Prospect:
    guests = evening.picture.guests
    served = [0, 0, 0]
    nights: dict[date, tuple[int, int]] = {}
    came: dict[date, tuple[int, int]] = {}
    without, no_partner = Counter[str](), Counter[str]()
    for number, (guest, left) in enumerate(zip(guests, evening.left, strict=True)):
        placed = guest.need.people.count - left
        served[guest.need.urgency.tier] += placed
        for counted, days in ((nights, guest.need.days), (came, guest.need.days[:1])):
            for day in days:
                asked, had = counted.get(day, (0, 0))
                counted[day] = asked + guest.need.people.count, had + placed
        if left:
            without[evening.why(number)] += left
            if (rule := evening.why_no_partner(number)) is not None:
                no_partner[rule] += left
    live = [shift for shift in evening.shifts if shift.live and shift.window.ends > evening.picture.now]
    before = {id(stay) for guest in guests for stay in guest.stays}
    every = [stay for stays in evening.stays for stay in stays]
    return Prospect(
        asked=sum(guest.need.people.count for guest in guests),
        served=(served[0], served[1], served[2]),
        stayed=sum(stay.people for stay in every if id(stay) in before),
        without=dict(sorted(without.items())),
        km=sum(stay.people * stay.km for stay in every),
        shifts=len(live),
        volunteers=sum(shift.volunteers for shift in live),
        called=len(evening.shifts) - len(evening.picture.shifts),
        nights=dict(sorted(nights.items())),
        came=dict(sorted(came.items())),
        referred=sum(guests[number].need.people.count for number in evening.passed_on),
        no_partner=dict(sorted(no_partner.items())),
        in_projects=sum(party.need.people.count for party in evening.picture.in_projects),
        keep_together=sum(stay.people for party in evening.picture.in_projects for stay in party.stays),
    )
