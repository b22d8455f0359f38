"""States of needs and allocations, and the only table of which may follow which."""

from enum import StrEnum

__all__ = [
    "ALLOCATION_TRANSITIONS",
    "LIVE",
    "NEED_TRANSITIONS",
    "SEEKING",
    "AllocationState",
    "NeedState",
    "OfferState",
    "PledgeState",
    "ShiftState",
    "need_state",
]


class NeedState(StrEnum):
    """Where a need stands."""

    OPEN = "open"
    HELD = "held"
    CONFIRMED = "confirmed"
    REFERRED = "referred"
    UNMET = "unmet"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class AllocationState(StrEnum):
    """Where an allocation stands; a held one is a hold."""

    HELD = "held"
    CONFIRMED = "confirmed"
    ARRIVED = "arrived"
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"
    RELEASED = "released"
    NO_SHOW = "no_show"


class OfferState(StrEnum):
    """Whether an offer takes new parties."""

    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class PledgeState(StrEnum):
    """Whether new shifts may be planned with a pledge."""

    OPEN = "open"
    CLOSED = "closed"


class ShiftState(StrEnum):
    """Where a shift stands; planned and confirmed ones count as volunteers."""

    PLANNED = "planned"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    RELEASED = "released"
    """Nobody needs it any more; its volunteers are free."""
    COMPLETED = "completed"


LIVE = frozenset({AllocationState.HELD, AllocationState.CONFIRMED, AllocationState.ARRIVED})
"""Allocations that keep people in a place."""

SEEKING = frozenset({NeedState.OPEN, NeedState.UNMET})
"""Needs that take a place as soon as one appears."""

NEED_TRANSITIONS: dict[NeedState, frozenset[NeedState]] = {
    NeedState.OPEN: frozenset(
        {
            NeedState.HELD,
            NeedState.CONFIRMED,
            NeedState.REFERRED,
            NeedState.UNMET,
            NeedState.WITHDRAWN,
            NeedState.CLOSED,
        }
    ),
    NeedState.HELD: frozenset({NeedState.OPEN, NeedState.CONFIRMED, NeedState.WITHDRAWN}),
    NeedState.CONFIRMED: frozenset({NeedState.OPEN, NeedState.HELD, NeedState.WITHDRAWN, NeedState.CLOSED}),
    NeedState.REFERRED: frozenset({NeedState.OPEN, NeedState.HELD, NeedState.UNMET, NeedState.WITHDRAWN}),
    NeedState.UNMET: frozenset(
        {NeedState.OPEN, NeedState.HELD, NeedState.CONFIRMED, NeedState.WITHDRAWN, NeedState.CLOSED}
    ),
    NeedState.WITHDRAWN: frozenset(),
    NeedState.CLOSED: frozenset(),
}

ALLOCATION_TRANSITIONS: dict[AllocationState, frozenset[AllocationState]] = {
    AllocationState.HELD: frozenset(
        {
            AllocationState.CONFIRMED,
            AllocationState.DECLINED,
            AllocationState.EXPIRED,
            AllocationState.RELEASED,
        }
    ),
    AllocationState.CONFIRMED: frozenset(
        {
            AllocationState.ARRIVED,
            AllocationState.DECLINED,
            AllocationState.RELEASED,
            AllocationState.NO_SHOW,
            AllocationState.COMPLETED,
        }
    ),
    AllocationState.ARRIVED: frozenset({AllocationState.COMPLETED, AllocationState.RELEASED}),
    AllocationState.COMPLETED: frozenset(),
    AllocationState.DECLINED: frozenset(),
    AllocationState.EXPIRED: frozenset(),
    AllocationState.RELEASED: frozenset(),
    AllocationState.NO_SHOW: frozenset(),
}


def need_state(asked: int, held: int, confirmed: int) -> NeedState:
    """State of a living need by its people: how many asked, on hold, and confirmed or arrived.

    A divisible need is held or confirmed only when all its people are.
    """
    if held + confirmed < asked:
        return NeedState.OPEN
    return NeedState.HELD if held else NeedState.CONFIRMED
