"""What people do well to bring, by what a place does not have. A help, never a condition."""

from collections.abc import Set as AbstractSet
from enum import StrEnum

__all__ = ["Thing", "what_to_bring"]


class Thing(StrEnum):
    """Something to bring."""

    CODE = "code"
    WARM_CLOTHES = "warm_clothes"
    FOOD = "food"
    TOWEL = "towel"
    BABY_THINGS = "baby_things"
    MEDICINES = "medicines"
    SOMETHING_TO_WRITE = "something_to_write"
    LAUNDRY = "laundry"


def what_to_bring(category: str, provides: AbstractSet[str], *, minors: bool) -> tuple[Thing, ...]:
    """What is of use there, the most useful first; `minors` whether there are any in the party."""
    overnight = category in ("shelter", "respite")
    things = {
        Thing.CODE: True,
        Thing.WARM_CLOTHES: overnight,
        Thing.FOOD: overnight and "meals" not in provides,
        Thing.TOWEL: category == "sanitation" or (overnight and "showers" in provides),
        Thing.BABY_THINGS: minors and overnight and "baby_equipment" not in provides,
        Thing.MEDICINES: overnight or category == "health",
        Thing.SOMETHING_TO_WRITE: category == "language_class",
        Thing.LAUNDRY: category == "laundry",
    }
    return tuple(thing for thing, useful in things.items() if useful)
