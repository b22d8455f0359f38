"""States of needs and allocations, and the only table of which may follow which."""

from enum import StrEnum

__all__ = [
    "ALLOCATION_TRANSITIONS",
    "LIVE",
    "NEED_TRANSITIONS",
    "REFERRAL_TRANSITIONS",
    "SEEKING",
    "AllocationState",
    "NeedState",
    "OfferState",
    "PactState",
    "PledgeState",
    "ReferralState",
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


class PactState(StrEnum):
    """Where a pact stands; whether one of its versions is in force today depends on their days as well."""

    PROPOSED = "proposed"
    """No version of it was signed by both towns yet."""
    SIGNED = "signed"
    ENDED = "ended"


class ReferralState(StrEnum):
    """Where a referral stands; offered, accepted and placed ones count in their week."""

    OFFERED = "offered"
    """The partner has until its deadline to answer."""
    ACCEPTED = "accepted"
    """A place is looked for around the partner town."""
    PLACED = "placed"
    """The people have a place there."""
    DECLINED = "declined"
    EXPIRED = "expired"
    RETURNED = "returned"
    """Nothing held there in time, or another town took the people: they are no longer the partner's to place."""
    WITHDRAWN = "withdrawn"
    """The need ended, was changed, or found a place at home first."""


LIVE = frozenset({AllocationState.HELD, AllocationState.CONFIRMED, AllocationState.ARRIVED})
"""Allocations that keep people in a place."""

SEEKING = frozenset({NeedState.OPEN, NeedState.UNMET, NeedState.REFERRED})
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
    NeedState.HELD: frozenset({NeedState.OPEN, NeedState.CONFIRMED, NeedState.REFERRED, NeedState.WITHDRAWN}),
    NeedState.CONFIRMED: frozenset(
        {NeedState.OPEN, NeedState.HELD, NeedState.REFERRED, NeedState.WITHDRAWN, NeedState.CLOSED}
    ),
    NeedState.REFERRED: frozenset(
        {NeedState.OPEN, NeedState.HELD, NeedState.CONFIRMED, NeedState.UNMET, NeedState.WITHDRAWN, NeedState.CLOSED}
    ),
    NeedState.UNMET: frozenset(
        {
            NeedState.OPEN,
            NeedState.HELD,
            NeedState.CONFIRMED,
            NeedState.REFERRED,
            NeedState.WITHDRAWN,
            NeedState.CLOSED,
        }
    ),
    NeedState.WITHDRAWN: frozenset(),
    NeedState.CLOSED: frozenset(),
}

REFERRAL_TRANSITIONS: dict[ReferralState, frozenset[ReferralState]] = {
    ReferralState.OFFERED: frozenset(
        {ReferralState.ACCEPTED, ReferralState.DECLINED, ReferralState.EXPIRED, ReferralState.WITHDRAWN}
    ),
    ReferralState.ACCEPTED: frozenset({ReferralState.PLACED, ReferralState.RETURNED, ReferralState.WITHDRAWN}),
    ReferralState.PLACED: frozenset({ReferralState.ACCEPTED, ReferralState.RETURNED, ReferralState.WITHDRAWN}),
    ReferralState.DECLINED: frozenset(),
    ReferralState.EXPIRED: frozenset(),
    ReferralState.RETURNED: frozenset(),
    ReferralState.WITHDRAWN: frozenset(),
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
