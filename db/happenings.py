"""The kinds of events that organizations hear of, as `docs/events.md` explains them, and of which a key hears."""

from collections.abc import Collection, Mapping
from typing import Final

from db.keys import Scope

__all__ = ["KINDS", "readable"]

_HAPPENINGS: Final[Mapping[str, str]] = {
    "need": "posted changed open held confirmed referred unmet ended closed withdrawn",
    "allocation": "held confirmed changed address_read arrived completed declined expired released moved no_show",
    "site": "added changed address_set vetted",
    "offer": "opened changed capacity_changed paused resumed closed verify_due verified",
    "pledge": "posted changed",
    "practice": "told changed withdrawn",
    "project": "posted proposed accepted refused expired fell withdrawn",
    "shift": "planned confirmed answer_due still_coming at_risk declined released completed",
    "pact": "proposed signed notice_given ended",
    "referral": "offered accepted placed declined expired returned withdrawn",
    "webhook": "disabled",
}
KINDS: Final = tuple(f"{thing}.{word}" for thing, words in _HAPPENINGS.items() for word in words.split())
_READABLE: Final[Mapping[Scope, frozenset[str]]] = {
    Scope.NEEDS_READ: frozenset({"need", "project"}),
    Scope.OFFERS_READ: frozenset({"site", "offer", "pledge", "practice", "shift"}),
    Scope.ALLOCATIONS_READ: frozenset({"allocation"}),
    Scope.PACTS_READ: frozenset({"pact", "referral"}),
    Scope.WEBHOOKS_WRITE: frozenset({"webhook"}),
}


def readable(scopes: Collection[Scope]) -> frozenset[str]:
    """The objects of which a key with these scopes hears."""
    return frozenset[str]().union(*(objects for scope, objects in _READABLE.items() if scope in scopes))
