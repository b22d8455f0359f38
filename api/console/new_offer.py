"""Adding an offer to a house: what and how many, for whom, when, and who is asked before somebody comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES, Named, named
from api.console.checking import checked, flawed
from api.console.forms import Form
from api.console.guided import Guide, plain
from api.console.houses import category_words
from api.console.pages import HOUSES, page
from api.console.schedules import WEEK, recurrence, weekdays
from api.console.visits import ConsoleRoute, Visit, WritesHouses, gone_to
from api.moments import language_name
from api.offers import OfferIn
from api.wording import say
from db import boards, offers, sites, towns
from db.sites import SiteFacts
from matching import bounds
from matching.offering import OfferTerms
from matching.refusals import Invalid
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Confirmation, Coverage, Level

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_GUIDE: Final = Guide(
    {
        "what": ("category", "capacity"),
        "who": ("audience", "wish", "provides", "party_max", "nights_max"),
        "when": (
            *("first_day", "last_day", "opens", "closes", "days", "timezone"),
            *("slot_minutes", "arrive_by", "release_no_shows", "teaches", "level", "language"),
        ),
        "how": ("confirmation", "confirm_within_minutes"),
    }
)
_RESERVED: Final = frozenset(Audience) - {Audience.ANYONE}
_TAUGHT: Final = ("fr", "it", "en", "es", "de", "pt", "ar")
"""Languages that classes teach most; others go by the API."""
_NIGHT: Final = ("19:00", "08:00")


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is said of the offer until now."""

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
    days: frozenset[str]
    slot_minutes: int | None
    arrive_by: str
    release_no_shows: bool
    teaches: str
    level: str
    confirmation: str
    minutes: int | None

    @classmethod
    def of(cls, form: Form, categories: Mapping[str, Coverage]) -> "_Draft":
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
            teaches=teaches if teaches in _TAUGHT else "",
            level=level if level in set(Level) else "",
            confirmation=confirmation if confirmation in set(Confirmation) else Confirmation.EACH,
            minutes=form.whole("confirm_within_minutes"),
        )

    def terms(self, site_id: UUID, coverage: Coverage | None) -> OfferTerms:
        """Raises `Invalid` with all that is wrong in what is asked for of this kind of help."""
        said: dict[str, object] = {
            "site_id": site_id,
            "category": self.category,
            "capacity": self.capacity,
            "audience": sorted(self.audience) or [Audience.ANYONE],
            "provides": sorted(self.wishes),
            "party_max": self.party_max,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "opens": self.opens,
            "closes": self.closes,
            "rrule": recurrence(self.days),
            "confirmation": self.confirmation,
            "confirm_within_minutes": self.minutes,
        }
        match coverage:
            case Coverage.EVERY:
                said["nights_max"] = self.nights_max
                said |= {"arrive_by": self.arrive_by, "release_no_shows": self.release_no_shows}
            case Coverage.ANY:
                said["slot_minutes"] = self.slot_minutes
            case _:
                language = {"teaches": self.teaches, "level": self.level or None}
                said["language"] = language if self.teaches else None
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
            "days": [each for each in WEEK if each in self.days],
            **plain(numbers, words),
        }


@router.get(f"{HOUSES}/{{site_id}}/offers/new")
async def ask_for_offer(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The first step."""
    site = await sites.read(visit.tx, site_id, visit.who.organization_id)
    draft = _Draft.of(visit.form, await boards.categories(visit.tx))
    return await _asked(request, visit, site, draft, _GUIDE.first)


@router.post(f"{HOUSES}/{{site_id}}/offers/new")
async def add_offer(site_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Go on to the next step or back; after the last one the offer is opened."""
    site = await sites.read(visit.tx, site_id, visit.who.organization_id)
    categories = await boards.categories(visit.tx)
    draft, step = _Draft.of(visit.form, categories), _GUIDE.sent(visit.form)
    if visit.form.first("back"):
        return await _asked(request, visit, site, draft, _GUIDE.before(step))
    following = _GUIDE.after(step)
    try:
        terms = draft.terms(site_id, categories.get(draft.category))
        if following is None:
            return gone_to(await _add(visit, site_id, terms))
        await offers.check_new(visit.tx, visit.who.organization_id, site_id, terms)
    except Invalid as invalid:
        found = _GUIDE.until(step, invalid.flaws)
        if found:
            return await _asked(request, visit, site, draft, _GUIDE.earliest(found), Invalid(found))
    return await _asked(request, visit, site, draft, following or step)


async def _add(visit: Visit, site_id: UUID, terms: OfferTerms) -> str:
    async def act() -> str:
        offer_id = await offers.add(visit.tx, visit.who.organization_id, site_id, terms, visit.house.tie_key)
        visit.note(offer_id)
        visit.ring()
        return f"/console/offers/{offer_id}"

    return await visit.once(act)


async def _asked(
    request: Request, visit: Visit, site: SiteFacts, draft: _Draft, step: str, invalid: Invalid | None = None
) -> Response:
    language = visit.language
    categories = await boards.categories(visit.tx)
    coverage = categories.get(draft.category)
    town = await towns.get(visit.tx, site.terms.town_id)
    today = (await boards.clock(visit.tx)).astimezone(ZoneInfo(town.timezone)).date()
    return await page(
        request,
        "new_offer",
        status=422 if invalid else 200,
        site=site.terms.name,
        step=step,
        number=_GUIDE.number(step),
        steps=len(_GUIDE.steps),
        kept=_GUIDE.kept(draft.said(), step),
        form=uuid4().hex,
        asked=draft,
        flawed=flawed(invalid.flaws, language) if invalid else {},
        categories=[Named(code, category_words(code, None, language)) for code in sorted(categories)],
        coverage=coverage,
        night=_NIGHT if coverage is Coverage.EVERY else ("", ""),
        today=today.isoformat(),
        reserved=named("console.party", sorted(_RESERVED), language),
        week=weekdays(language),
        taught=[Named(code, language_name(code, language)) for code in _TAUGHT],
        levels=[Named(level, level if level.isupper() else say(f"console.level.{level}", language)) for level in Level],
        confirmations=named("console.confirmation", Confirmation, language),
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        bounds=bounds,
    )
