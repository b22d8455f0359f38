"""What figures count, and how counts add up: each measure with the one that it is a part of."""

from enum import StrEnum
from typing import Final

__all__ = ["HEADLINES", "NEVER", "PARTS_OF", "REFERRED", "SELF_MADE", "WAITED", "Measure", "weight_of"]


class Measure(StrEnum):
    """What is counted; people unless said otherwise. Who asks for two kinds of help is counted in both."""

    ASKED = "asked"
    """Asked for this kind of help."""
    SERVED = "served"
    """Were there: stayed to the end, or for a part of the time."""
    UNMET = "unmet"
    """Were without a place past their deadline, and stayed so."""
    OTHER = "other"
    """All others: their need was withdrawn, or they had a place and did not come."""
    SERVED_BY = "served_by"
    """Those served, by the kind of organization that gave most of it."""
    SERVED_IN = "served_in"
    """Those served, by where most of it was: `here`, in the town where they asked, or `elsewhere`."""
    UNMET_FOR = "unmet_for"
    """Those unmet, by the rule that most of the offers around failed on."""
    WAITED = "waited"
    """All who asked, by minutes until a place was first held for them; `never` where none was."""
    NIGHTS = "nights"
    """Nights of people in a place: two people for three nights are six."""
    REFERRED_OUT = "referred_out"
    """Asked for of partner towns, by what came of it, where they asked; of two towns, twice."""
    REFERRED_IN = "referred_in"
    """The same, at the towns that were asked to take them; the network's are its `referred_out`."""
    RATED = "rated"
    """Parties that told how it was; the part is their mark, 1 to 5."""
    SAID = "said"
    """Parties that said this word of it."""


HEADLINES: Final = frozenset({Measure.ASKED, Measure.SERVED, Measure.UNMET, Measure.NIGHTS, Measure.OTHER})
"""Measures that are told for all categories together too."""
NEVER: Final = "never"
WAITED: Final = ("5", "60", "240", "1440", "more", NEVER)
"""Parts of `waited`: upper ends in minutes, then longer, then never."""

REFERRED: Final = ("placed", "declined", "expired", "returned", "withdrawn")
"""Parts of `referred_out` and `referred_in`: they found a place there; the partner declined; it said nothing; it
took them and had nothing free; or it was not needed any more."""

PARTS_OF: Final = (
    (Measure.ASKED, (Measure.SERVED, Measure.UNMET, Measure.OTHER)),
    (Measure.ASKED, (Measure.WAITED,)),
    (Measure.SERVED, (Measure.SERVED_BY,)),
    (Measure.SERVED, (Measure.SERVED_IN,)),
    (Measure.UNMET, (Measure.UNMET_FOR,)),
    (Measure.REFERRED_OUT, (Measure.REFERRED_OUT,)),
    (Measure.REFERRED_IN, (Measure.REFERRED_IN,)),
    (Measure.RATED, (Measure.RATED,)),
)
"""A whole, and the measures whose parts make it up; the whole of some is themselves without a part."""
SELF_MADE: Final = frozenset(whole for whole, measures in PARTS_OF if whole in measures)
"""Measures that are counted by part alone, and add up to themselves without one."""

_WEIGHT: Final = {
    Measure.ASKED: 8.0,
    Measure.SERVED: 4.0,
    Measure.UNMET: 8.0,
    Measure.NIGHTS: 2.0,
    Measure.UNMET_FOR: 2.0,
    Measure.WAITED: 0.5,
}


def weight_of(measure: Measure) -> float:
    """How much a reader misses one unit of a figure that is withheld for the sake of others."""
    return _WEIGHT.get(measure, 1.0)
