"""One house alone: whom of some parties it would take in by every rule, and what keeps the others out.

The rules are those of the matching. What else there is near, given or asked by anybody else, is not known here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from matching.needs import Need
from matching.offers import Offer
from matching.rules import Circumstances, cover, failures

__all__ = ["HouseAlone", "Lot", "Waiting", "whom_it_takes"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A party, and how many of its people want a place."""

    need: Need
    people: int


@dataclass(slots=True)
class Lot:
    """So many parties, and so many people of them."""

    parties: int = 0
    people: int = 0

    def add(self, people: int) -> None:
        """One party more."""
        self.parties += 1
        self.people += people


@dataclass(frozen=True, slots=True)
class HouseAlone:
    """What came of it: who asked, who has a place, and the others by the first rule that keeps them out.

    A party that may be divided and has some of its places counts as taken in with these people, and as kept out by
    `capacity` with the rest.
    """

    asked: Lot = field(default_factory=Lot)
    taken: Lot = field(default_factory=Lot)
    kept_out: Mapping[str, Lot] = field(default_factory=dict)


def whom_it_takes(house: Offer, waiting: Iterable[Waiting], at: Circumstances) -> HouseAlone:
    """Give its places to one party after the other, in the order given, as the matching does with who comes at once.

    Deciding them together, as rounds do, may seat a few more; never does a party get what it does not get here because
    of a rule.
    """
    free = {slot.id: slot.free for slot in house.slots}
    asked, taken, out = Lot(), Lot(), defaultdict[str, Lot](Lot)
    for each in waiting:
        asked.add(each.people)
        left = replace(house, slots=tuple(replace(slot, free=free[slot.id]) for slot in house.slots))
        failure = next(failures(each.need, left, at), None)
        if failure is not None:
            out[failure.rule].add(each.people)
            continue
        slots = cover(each.need, left, at.now)
        people = min(each.people, *(slot.free for slot in slots))
        for slot in slots:
            free[slot.id] -= people
        taken.add(people)
        if people < each.people:
            out["capacity"].add(each.people - people)
    return HouseAlone(asked, taken, dict(out))
