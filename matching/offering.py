"""What may be given: the terms of an offer as its provider states them, and everything that can be wrong with them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from geo.borders import country_of_zone
from matching.needs import Language
from matching.refusals import Flaw, Invalid
from matching.schedule import Schedule, Session, sessions_ahead, zone_named
from matching.vocabulary import Audience, Confirmation, Coverage
from matching.windows import MORNING

__all__ = ["OfferTerms", "check", "flaws_of"]


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """One kind of help at a site: for whom, when, and how it is confirmed.

    `opens`, `closes` and `arrive_by` are local times of `timezone`; `slot_minutes` cuts an opening into pieces.
    """

    category: str
    capacity: int
    audience: frozenset[Audience]
    provides: frozenset[str]
    confirmation: Confirmation
    confirm_within_minutes: int
    first_day: date
    last_day: date
    timezone: str
    opens: time
    closes: time
    rrule: str
    slot_minutes: int | None
    party_max: int | None
    nights_max: int | None
    arrive_by: time | None
    release_no_shows: bool
    language: Language | None

    def schedule(self) -> Schedule:
        """When the offer is open. Raises `Invalid` for a time zone that does not exist."""
        return Schedule(
            first_day=self.first_day,
            last_day=self.last_day,
            zone=zone_named(self.timezone),
            opens=self.opens,
            closes=self.closes,
            rrule=self.rrule,
            slot_minutes=self.slot_minutes,
            arrive_by=self.arrive_by,
        )


def check(
    terms: OfferTerms, coverage: Coverage, countries: Collection[str | None], now: datetime
) -> tuple[Session, ...]:
    """The slots that the terms make. Raises `Invalid` with every flaw.

    `countries`: where the site lies, and where its clocks are set, if that is another country.
    """
    flaws = tuple(flaws_of(terms, coverage, countries))
    if flaws:
        raise Invalid(flaws)
    return sessions_ahead(terms.schedule(), coverage, now)


def flaws_of(terms: OfferTerms, coverage: Coverage, countries: Collection[str | None]) -> Iterator[Flaw]:
    """What does not fit together, or does not belong to this kind of help."""
    if Audience.ANYONE in terms.audience and len(terms.audience) > 1:
        yield Flaw("/audience", "anyone_among_others")
    if coverage is Coverage.COURSE and (terms.language is None or terms.language.level is None):
        yield Flaw("/language", "language_needed")
    if coverage is Coverage.EVERY and MORNING <= terms.opens < terms.closes:
        yield Flaw("/closes", "no_night_in_window")
    if terms.release_no_shows and terms.arrive_by is None:
        yield Flaw("/arrive_by", "arrive_by_needed")
    if country_of_zone(terms.timezone) not in (None, *countries):
        yield Flaw("/timezone", "timezone_of_another_country")
    if coverage is Coverage.EVERY and not _is_open_at(terms.arrive_by, terms):
        yield Flaw("/arrive_by", "outside_opening_hours")
    yield from _flaws_of_what_is_not_used(terms, coverage)


def _is_open_at(clock: time | None, terms: OfferTerms) -> bool:
    """Whether the door is open at this local time; closing at or before opening means the next morning."""
    if clock is None:
        return True
    if terms.opens < terms.closes:
        return terms.opens <= clock <= terms.closes
    return clock >= terms.opens or clock <= terms.closes


def _flaws_of_what_is_not_used(terms: OfferTerms, coverage: Coverage) -> Iterator[Flaw]:
    if coverage is not Coverage.COURSE and terms.language is not None:
        yield Flaw("/language", "language_not_used")
    if coverage is not Coverage.ANY and terms.slot_minutes is not None:
        yield Flaw("/slot_minutes", "not_used_here")
    if coverage is not Coverage.EVERY:
        for name, value in (("arrive_by", terms.arrive_by), ("nights_max", terms.nights_max)):
            if value is not None:
                yield Flaw(f"/{name}", "not_used_here")
