"""The evening that the demonstration plays: needs arrive at three crossings and are answered.

Nothing is staged: every step is a call over HTTP with an organization's key, places are found by the worker, and
the account tells what the service answered, whatever it was.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from matching.states import LIVE, AllocationState, NeedState
from matching.windows import MORNING
from relais.account import Account, Mark
from relais.desk import Allocation, Body, Desk, Need
from relais.region import DemoTown, Names, Towns

__all__ = ["REASONS", "Ended", "Evening", "Pace", "Place", "stay"]

_ZONE: Final = ZoneInfo("Europe/Paris")
"""The clocks of all three crossings show the same."""
_EVENING_HOUR: Final = 18
_LOOK_SECONDS: Final = 15.0
_LEFT_OF_NIGHT: Final = timedelta(minutes=10)

REASONS: Final[Mapping[str, str]] = {
    "category": "offering something else",
    "paused": "paused by its provider",
    "stale": "not confirmed for weeks",
    "vetting": "a home that nobody has visited yet",
    "distance": "too far",
    "border": "over the border, which they did not consent to",
    "audience": "reserved for others",
    "access": "without what they require (step-free)",
    "language": "in another language",
    "party_size": "too small for them",
    "stay_length": "for shorter stays",
    "refused_before": "turned down before",
    "window": "not open then",
    "capacity": "full",
    "staffing": "without the volunteers to open it",
}
"""What each rule's failure means, after "1 place "."""


@dataclass(frozen=True)
class Place:
    """Where an offer is, as the account speaks of it."""

    site: str
    town: str
    owner: str


@dataclass(frozen=True)
class Pace:
    """How slowly it is told: seconds after each fact, and how long somebody waits for what nobody has."""

    beat: float
    patience: float


@dataclass(frozen=True)
class Ended:
    """How one need ended, and how it was meant to."""

    party: str
    town: str
    state: NeedState
    meant: NeedState
    place: str


@dataclass
class Evening:
    """One evening over the network's desks. `places` are the offers that the account can name.

    `noted` is told of each need that was posted, and by whom.
    """

    desks: Mapping[str, Desk]
    places: Mapping[UUID, Place]
    account: Account
    pace: Pace
    noted: Callable[[str, UUID], None]
    ended: list[Ended] = field(default_factory=list)

    def play(self) -> list[Ended]:
        """Play it to the end: how every need ended, in the order in which they were answered."""
        waiting = self._warm_room_in_menton()
        self._family_in_briancon()
        self._turned_back_at_the_pass()
        self._couple_in_hendaye()
        self._group_in_hendaye()
        self._young_person_in_montgenevre()
        self._large_group_at_the_pass()
        self._showers_in_ventimiglia()
        self._class_in_gap()
        self._what_became_of(waiting)
        return self.ended

    def _family_in_briancon(self) -> None:
        party = "a family of four"
        need = self._post(
            *(
                Names.MOUNTAIN,
                Towns.BRIANCON,
                f"{party} needs a bed for two nights, step-free, with no border to cross",
            ),
            _shelter(2, 2, Towns.BRIANCON, nights=2, audience=["families"], requires=["step_free"]),
        )
        need = self._confirmed(Names.MOUNTAIN, Towns.BRIANCON, need)
        self._end(party, Towns.BRIANCON, need, NeedState.CONFIRMED)

    def _turned_back_at_the_pass(self) -> None:
        party, town = "five people turned back at the pass", Towns.CLAVIERE
        need = self._post(
            *(Names.MOUNTAIN, town, f"{party} need a bed tonight, together, in Italy"),
            _shelter(5, 0, town, urgency="vital"),
        )
        first = _live(need)
        if first and first.state is AllocationState.HELD:
            place = self.places[first.offer_id]
            self.desks[place.owner].decline(first.id, "no_staff")
            self._fact(Towns.CLAVIERE, Mark.NO, f"{place.owner} has nobody to open {place.site} tonight: declined")
            need = self.desks[Names.MOUNTAIN].wait_for(need.id, lambda seen: _live(seen) is not None, _LOOK_SECONDS)
            self._tell_place(town, need, passed_on=True)
        need = self._confirmed(Names.MOUNTAIN, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _couple_in_hendaye(self) -> None:
        party, town = "a couple", Towns.HENDAYE
        need = self._post(
            *(Names.BIDASSOA, town, f"{party} needs a bed and agrees to cross the bridge to Irun"),
            _shelter(2, 0, town, countries=["FR", "ES"], max_km=20),
        )
        need = self._confirmed(Names.BIDASSOA, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _group_in_hendaye(self) -> None:
        party, town = "nine friends", Towns.HENDAYE
        need = self._post(
            *(Names.BIDASSOA, town, f"{party} need beds tonight, in one place, in France"),
            _shelter(9, 0, town, urgency="high"),
        )
        need = self._confirmed(Names.BIDASSOA, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _young_person_in_montgenevre(self) -> None:
        party, town = "a sixteen-year-old alone", Towns.MONTGENEVRE
        need = self._post(
            *(Names.MOUNTAIN, town, f"{party} needs a bed with adults to look after them"),
            _shelter(
                *(0, 1, town),
                urgency="vital",
                audience=["unaccompanied_minors"],
                requires=["minors_supervised"],
            ),
        )
        need = self._confirmed(Names.MOUNTAIN, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _large_group_at_the_pass(self) -> None:
        """No house near the pass takes so many: the town's pact with another does."""
        party, town, partner = "fourteen people who stay together", Towns.MONTGENEVRE, Towns.GAP
        need = self._post(
            *(Names.MOUNTAIN, town, f"{party} need beds tonight, in France"),
            _shelter(14, 0, town, urgency="high"),
            wait=1,
        )
        if _live(need) is None:
            self._fact(town, Mark.NOTE, "nothing near takes fourteen; the town has a pact, so a partner is asked")
            need = self.desks[Names.MOUNTAIN].refer(need.id)
            for asked in self.desks[Names.GAP].offered():
                self.desks[Names.GAP].accept_referral(asked.id)
                line = f"{Names.GAP}, {asked.distance_km} km away, takes them: a place is looked for there"
                self._fact(partner, Mark.YES, line)
        need = self._confirmed(Names.MOUNTAIN, partner, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _showers_in_ventimiglia(self) -> None:
        party, town = "three people off the train", Towns.VENTIMIGLIA
        need = self._post(
            *(Names.COAST, town, f"{party} need a shower within a day"),
            _need("sanitation", 3, 0, town, _now(), _now() + timedelta(hours=24)),
        )
        need = self._confirmed(Names.COAST, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _class_in_gap(self) -> None:
        party, town = "one person who stays", Towns.GAP
        need = self._post(
            *(Names.MOUNTAIN, town, f"{party} wants to learn French, level A1, from the next lesson on"),
            _need(
                *("language_class", 1, 0, town, _now(), _now() + timedelta(days=14)),
                stay="settling",
                language={"teaches": "fr", "level": "A1"},
            ),
        )
        need = self._confirmed(Names.MOUNTAIN, town, need)
        self._end(party, town, need, NeedState.CONFIRMED)

    def _warm_room_in_menton(self) -> Need:
        """Posted first and answered last: the answer is that there is no place, and why."""
        until = _now() + timedelta(seconds=self.pace.patience)
        return self._post(
            *(Names.COAST, Towns.MENTON, "a wheelchair user needs a step-free warm room before"),
            _need("respite", 1, 0, Towns.MENTON, _now(), until, requires=["step_free"], urgency="high"),
            told=f" {until:%H:%M:%S}, when the bus leaves",
            wait=0,
        )

    def _what_became_of(self, waiting: Need) -> None:
        desk = self.desks[Names.COAST]
        with self.account.waiting("Menton: the wheelchair user still waits for an answer…"):
            need = desk.wait_for(
                waiting.id, lambda seen: seen.state is not NeedState.OPEN, self.pace.patience + _LOOK_SECONDS
            )
        if need.state is NeedState.UNMET:
            reasons = ", ".join(
                f"{count} {'place' if count == 1 else 'places'} {REASONS.get(rule, rule)}"
                for rule, count in (need.unmet_reasons or {}).items()
            )
            self._fact(
                Towns.MENTON,
                Mark.NO,
                f"nothing for the wheelchair user: recorded as unmet ({reasons or 'nobody offers a warm room'}). "
                "It stays as evidence of what is missing",
            )
        self._end("a wheelchair user, for a warm room", Towns.MENTON, need, NeedState.UNMET)

    def _post(self, poster: str, town: DemoTown, line: str, need: Body, *, told: str = "", wait: int = 5) -> Need:
        self._fact(town, Mark.NEED, f"{line[:1].upper()}{line[1:]}{told}")
        posted = self.desks[poster].post_need(need, wait)
        self.noted(poster, posted.id)
        if _live(posted) is not None:
            self._tell_place(town, posted)
        return posted

    def _tell_place(self, town: DemoTown, need: Need, *, passed_on: bool = False) -> None:
        made = _live(need)
        if made is None:
            self._fact(town, Mark.NOTE, "no place yet; the search goes on whenever one appears")
            return
        place = self.places[made.offer_id]
        where = f"{place.site}, {place.town}" + (f", {made.distance_km} km away" if made.distance_km else "")
        begin = "passed on at once: " if passed_on else ""
        if made.state is AllocationState.HELD and made.held_until is not None:
            until = made.held_until.astimezone(_ZONE)
            what = f"on hold at {where}; {place.owner} has until {until:%H:%M} to answer"
            self._fact(town, Mark.HELD, f"{begin}{what}")
        else:
            self._fact(
                town, Mark.YES, f"{begin}confirmed at once at {where}: {place.owner} said yes beforehand{_when(made)}"
            )

    def _confirmed(self, poster: str, town: DemoTown, need: Need) -> Need:
        """The provider answers what is on hold; the need as it stands then."""
        if _live(need) is None:
            need = self.desks[poster].wait_for(need.id, lambda seen: _live(seen) is not None, _LOOK_SECONDS)
            self._tell_place(town, need)
        made = _live(need)
        if made is None or made.state is not AllocationState.HELD:
            return need
        place = self.places[made.offer_id]
        desk = self.desks[place.owner]
        if any(each.id == made.id for each in desk.held()):
            desk.confirm(made.id)
            self._fact(
                town, Mark.YES, f"{place.owner} says yes: {_places(made.people)} kept at {place.site}{_when(made)}"
            )
        return self.desks[poster].need(need.id)

    def _end(self, party: str, town: DemoTown, need: Need, meant: NeedState) -> None:
        made = _live(need)
        place = self.places[made.offer_id] if made else None
        where = f"{place.site}, {place.town}" if place else "—"
        self.ended.append(Ended(party, town.name, need.state, meant, where))

    def _fact(self, town: DemoTown, mark: Mark, line: str) -> None:
        self.account.fact(_now(), town.name, mark, line)
        time.sleep(self.pace.beat)


def _live(need: Need) -> Allocation | None:
    return next((each for each in reversed(need.allocations) if each.state in LIVE), None)


def stay(now: datetime, nights: int) -> tuple[datetime, datetime]:
    """From when until when somebody who asks now needs so many nights.

    Before `MORNING` the night in course is the first of them;
    by day they begin in the evening (now, when it has begun).
    """
    morning = now.replace(hour=9, minute=0, second=0)
    # A night of which only minutes are left would be over before the story comes to it.
    if (now + _LEFT_OF_NIGHT).time() < MORNING and now.time() < MORNING:
        return now, morning + timedelta(days=nights - 1)
    return max(now, now.replace(hour=_EVENING_HOUR, minute=0, second=0)), morning + timedelta(days=nights)


def _shelter(adults: int, minors: int, town: DemoTown, *, nights: int = 1, **terms: object) -> Body:
    """A need for so many nights, from the night in course or the next one."""
    starts, ends = stay(_now(), nights)
    return _need("shelter", adults, minors, town, starts, ends, **terms)


def _need(
    category: str, adults: int, minors: int, town: DemoTown, starts: datetime, ends: datetime, **terms: object
) -> Body:
    return {
        "category": category,
        "town": town.id,
        "people": {"adults": adults, "minors": minors},
        "from": starts.isoformat(),
        "until": ends.isoformat(),
        "urgency": "vital" if category == "shelter" else "normal",
        "stay": "transit",
        **terms,
    }


def _now() -> datetime:
    return datetime.now(_ZONE).replace(microsecond=0)


def _places(people: int) -> str:
    return "one place" if people == 1 else f"{people} places"


def _when(made: Allocation) -> str:
    first, last = made.slots[0].starts.astimezone(_ZONE), made.slots[-1]
    if len(made.slots) == 1:
        return f" (from {first:%d %b %H:%M})"
    unit = {"shelter": "nights", "language_class": "lessons"}.get(made.category, "times")
    return f" ({len(made.slots)} {unit}, from {first:%d %b %H:%M} to {last.ends.astimezone(_ZONE):%d %b %H:%M})"
