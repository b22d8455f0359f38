"""What a form says of an offer: of one that is to be added, or as one stands that is changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from api.console.asking import FIRST_WISHES, MORE_WISHES, Named, named
from api.console.checking import checked
from api.console.forms import Form
from api.console.guided import plain
from api.console.schedules import WEEK, recurrence, weekdays, weekdays_of
from api.moments import language_name
from api.offers import OfferIn
from api.wording import say
from matching.offering import OfferTerms
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Confirmation, Coverage, Level

__all__ = ["TAUGHT", "OfferDraft", "level_names", "offer_words"]

TAUGHT: Final = ("fr", "it", "en", "es", "de", "pt", "ar")
"""Languages that classes teach most; others go by the API."""
_RESERVED: Final = frozenset(Audience) - {Audience.ANYONE}
_NIGHT: Final = ("19:00", "08:00")


@dataclass(frozen=True, slots=True)
class OfferDraft:
    """An offer as its form has it."""

    category: str
    capacity: int | None
    audience: frozenset[str]
    wishes: frozenset[str]
    party_max: int | None
    nights_max: int | None
    first_day: str
    last_day: str
    opens: str
    closes: str
    days: frozenset[str] | None
    """On which weekdays, every day where there is none; `None` where a rule says it that no form can."""
    slot_minutes: int | None
    arrive_by: str
    release_no_shows: bool
    teaches: str
    level: str
    confirmation: str
    minutes: int | None

    @classmethod
    def of(cls, form: Form, categories: Mapping[str, Coverage], taught: Collection[str] = TAUGHT) -> Self:
        """Read what was chosen; what is no choice of ours is left out."""
        category, confirmation = form.first("category"), form.first("confirmation")
        teaches, level = form.first("teaches"), form.first("level")
        return cls(
            category=category if category in categories else "",
            capacity=form.whole("capacity"),
            audience=frozenset(form.every("audience")) & _RESERVED,
            wishes=frozenset(form.every("wish")) & (ACCESS | PROTECTIVE),
            party_max=form.whole("party_max"),
            nights_max=form.whole("nights_max"),
            first_day=form.day("first_day"),
            last_day=form.day("last_day"),
            opens=form.clock("opens"),
            closes=form.clock("closes"),
            days=frozenset(form.every("days")) & frozenset(WEEK),
            slot_minutes=form.whole("slot_minutes"),
            arrive_by=form.clock("arrive_by"),
            release_no_shows=bool(form.first("release_no_shows")),
            teaches=teaches if teaches in taught else "",
            level=level if level in set(Level) else "",
            confirmation=confirmation if confirmation in set(Confirmation) else "",
            minutes=form.whole("confirm_within_minutes"),
        )

    @classmethod
    def of_offer(cls, terms: OfferTerms) -> Self:
        """An offer as it stands."""
        language = terms.language
        return cls(
            category=terms.category,
            capacity=terms.capacity,
            audience=frozenset(map(str, terms.audience & _RESERVED)),
            wishes=terms.provides & (ACCESS | PROTECTIVE),
            party_max=terms.party_max,
            nights_max=terms.nights_max,
            first_day=terms.first_day.isoformat(),
            last_day=terms.last_day.isoformat(),
            opens=f"{terms.opens:%H:%M}",
            closes=f"{terms.closes:%H:%M}",
            days=weekdays_of(terms.rrule),
            slot_minutes=terms.slot_minutes,
            arrive_by=f"{terms.arrive_by:%H:%M}" if terms.arrive_by else "",
            release_no_shows=terms.release_no_shows,
            teaches=language.teaches if language else "",
            level=language.level or "" if language else "",
            confirmation=terms.confirmation,
            minutes=terms.confirm_within_minutes,
        )

    def requested(self, coverage: Coverage | None) -> dict[str, object]:
        """The offer as requests say it: what is asked for of this kind of help."""
        said: dict[str, object] = {
            "capacity": self.capacity,
            "audience": sorted(self.audience) or [Audience.ANYONE],
            "provides": sorted(self.wishes),
            "party_max": self.party_max,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "opens": self.opens,
            "closes": self.closes,
            "confirmation": self.confirmation,
            "confirm_within_minutes": self.minutes,
        }
        if self.days is not None:
            said["rrule"] = recurrence(self.days)
        match coverage:
            case Coverage.EVERY:
                said["nights_max"] = self.nights_max
                said |= {"arrive_by": self.arrive_by, "release_no_shows": self.release_no_shows}
            case Coverage.ANY:
                said["slot_minutes"] = self.slot_minutes
            case _:
                language = {"teaches": self.teaches, "level": self.level or None}
                said["language"] = language if self.teaches else None
        return said

    def terms(self, site_id: UUID, coverage: Coverage | None) -> OfferTerms:
        """The offer that this adds. Raises `Invalid` with all that is wrong."""
        said = {"site_id": site_id, "category": self.category, **self.requested(coverage)}
        return checked(OfferIn, said).terms()

    def said(self) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {
            "capacity": self.capacity,
            "party_max": self.party_max,
            "nights_max": self.nights_max,
            "slot_minutes": self.slot_minutes,
            "confirm_within_minutes": self.minutes,
        }
        words = {
            "category": self.category,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "opens": self.opens,
            "closes": self.closes,
            "arrive_by": self.arrive_by,
            "teaches": self.teaches,
            "level": self.level,
            "confirmation": self.confirmation,
            "release_no_shows": "1" if self.release_no_shows else "",
        }
        return {
            "audience": sorted(self.audience),
            "wish": sorted(self.wishes),
            "days": [each for each in WEEK if each in (self.days or ())],
            **plain(numbers, words),
        }


def level_names(language: str) -> list[Named]:
    """Levels of a language to choose from."""
    return [Named(level, level if level.isupper() else say(f"console.level.{level}", language)) for level in Level]


def offer_words(language: str, coverage: Coverage | None, taught: Collection[str] = TAUGHT) -> dict[str, object]:
    """What there is to choose from, in words."""
    return {
        "coverage": coverage,
        "night": _NIGHT if coverage is Coverage.EVERY else ("", ""),
        "reserved": named("console.party", sorted(_RESERVED), language),
        "week": weekdays(language),
        "taught": [Named(code, language_name(code, language)) for code in taught],
        "levels": level_names(language),
        "confirmations": named("console.confirmation", Confirmation, language),
        "first_wishes": FIRST_WISHES,
        "more_wishes": MORE_WISHES,
    }
