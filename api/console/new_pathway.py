"""Posting a pathway in steps: who, the bed and until when, what is to be near it, how far; and all of it once more.

The other steps are for the same days as the bed; each is a need, whose times can be changed on its own page then. What
of the bed's requirements holds for the party wherever it goes is required of them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import time, timedelta
from functools import partial
from typing import Final, Self

from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES, Choices, Named, named, read_choices
from api.console.cards import counts_in_words, wish_words
from api.console.checking import checked, flawed
from api.console.forms import Form
from api.console.guided import Guide, look_at, plain
from api.console.offer_form import TAUGHT, level_names
from api.console.pact_words import Term
from api.console.pages import HOME, page
from api.console.together_cards import step_words
from api.console.together_form import at, day_of, in_form
from api.console.visits import ConsoleRoute, Posts, Visit
from api.moments import country, date_in_full, language_name
from api.needs import MOST_PEOPLE
from api.pathways import PathwayIn
from api.wording import say
from db import pathways
from matching.bounds import NEAR_KM, NEAR_KM_USUAL, WAY_KM
from matching.pathways import beside_bed
from matching.refusals import Invalid
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Coverage, Level

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_PATH: Final = f"{HOME}/pathways/new"
_GUIDE: Final = Guide(
    {
        "party": ("town", "people", "adults", "minors", "audience"),
        "bed": ("first_day", "last_day", "wish", "requires"),
        "beside": ("beside", "teaches", "level"),
        "reach": ("near_km", "max_km", "country", "countries"),
        "whole": (),
    }
)
_EVENING, _MORNING = time(18), time(9)
_OPENS, _CLOSES = time(8), time(20)
_PARTIES: Final = frozenset(Audience) - {Audience.ANYONE}
_BOUNDS: Final = {"near_km": NEAR_KM, "max_km": WAY_KM}


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is said of the pathway until now."""

    adults: int
    minors: int
    audience: frozenset[str]
    first_day: str
    last_day: str
    wishes: frozenset[str]
    beside: frozenset[str]
    teaches: str
    level: str
    near_km: int | None
    max_km: int | None
    countries: frozenset[str]

    @classmethod
    def of(cls, form: Form, choices: Choices) -> Self:
        """Read what was chosen; what is no choice of ours is left out."""
        teaches, level = form.first("teaches"), form.first("level")
        return cls(
            adults=form.number("adults", 1),
            minors=form.number("minors"),
            audience=frozenset(form.every("audience")) & _PARTIES,
            first_day=form.day("first_day"),
            last_day=form.day("last_day"),
            wishes=frozenset(form.every("wish")) & (ACCESS | PROTECTIVE),
            beside=frozenset(form.every("beside")) & frozenset(_others(choices)),
            teaches=teaches if teaches in TAUGHT else "",
            level=level if level in set(Level) else "",
            near_km=form.whole("near_km"),
            max_km=form.whole("max_km"),
            countries=frozenset(form.every("country")) & {each.value for each in choices.countries},
        )

    def with_usual_rest(self, choices: Choices) -> Self:
        """The same with a month and something beside, while none were asked for: so that all else can be looked at."""
        first = self.first_day or choices.evenings[0].value
        simple = next(code for code, coverage in _others(choices).items() if coverage is Coverage.ANY)
        last = self.last_day or (day_of(first) or choices.now.date() + timedelta(days=30)) + timedelta(days=30)
        return replace(self, first_day=first, last_day=str(last), beside=self.beside or frozenset({simple}))

    def requested(self, choices: Choices) -> PathwayIn:
        """The pathway as requests say it. Raises `Invalid`, each flaw where the form asks for it."""
        coverages = _others(choices)
        bed = {"category": "shelter", "requires": sorted(self.wishes)} | self._between(choices, _EVENING, _MORNING)
        others = [self._step(code, coverages[code], choices) for code in sorted(self.beside)]
        said: dict[str, object] = {
            "town": choices.town.id if choices.town else None,
            "people": {"adults": self.adults, "minors": self.minors},
            "audience": sorted(self.audience) or [Audience.ANYONE],
            "countries": sorted(self.countries | {choices.town.country}) if choices.town else None,
            "max_km": self.max_km,
            "near_km": self.near_km,
            "steps": [bed, *others],
        }
        try:
            return checked(PathwayIn, said)
        except Invalid as invalid:
            raise in_form(invalid) from None

    def said(self, choices: Choices) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {"near_km": self.near_km, "max_km": self.max_km}
        words = {
            "first_day": self.first_day,
            "last_day": self.last_day,
            "teaches": self.teaches,
            "level": self.level,
        }
        return {
            "town": [str(choices.town.id)] if choices.town else [],
            "adults": [str(self.adults)],
            "minors": [str(self.minors)],
            "audience": sorted(self.audience),
            "wish": sorted(self.wishes),
            "beside": sorted(self.beside),
            "country": sorted(self.countries),
            **plain(numbers, words),
        }

    def _step(self, code: str, coverage: Coverage, choices: Choices) -> dict[str, object]:
        step: dict[str, object] = {"category": code, "requires": sorted(beside_bed(self.wishes))}
        step |= self._between(choices, _OPENS, _CLOSES)
        if coverage is Coverage.COURSE and self.teaches:
            step["language"] = {"teaches": self.teaches, "level": self.level or None}
        return step

    def _between(self, choices: Choices, opens: time, closes: time) -> dict[str, object]:
        said = {"from": (self.first_day, opens), "until": (self.last_day, closes)}
        return {name: at(written, clock, choices) for name, (written, clock) in said.items() if written}


def _others(choices: Choices) -> dict[str, Coverage]:
    """Help that is given beside a bed."""
    return {code: each for code, each in sorted(choices.categories.items()) if each is not Coverage.EVERY}


@router.get(_PATH)
async def ask_for_pathway(request: Request, visit: Posts) -> Response:
    """The first step."""
    choices = await read_choices(visit)
    return await _asked(request, visit, choices, _Draft.of(visit.form, choices), _GUIDE.first)


@router.post(_PATH)
async def post_pathway(request: Request, visit: Posts) -> Response:
    """One step; after the last one the pathway is posted."""
    choices = await read_choices(visit)
    draft = _Draft.of(visit.form, choices)

    async def check(body: PathwayIn) -> None:
        try:
            await pathways.check_new(visit.tx, body.terms())
        except Invalid as invalid:
            raise in_form(invalid) from None

    return await _GUIDE.walk(
        visit.form,
        partial(_asked, request, visit, choices, draft),
        lambda: look_at(
            lambda: draft.requested(choices), lambda: draft.with_usual_rest(choices).requested(choices), check
        ),
        lambda: _post(visit, draft.requested(choices)),
    )


async def _post(visit: Visit, body: PathwayIn) -> str:
    async def act() -> str:
        own, filed = visit.who.organization_id, visit.house.slips.filed
        try:
            added = await pathways.add(visit.tx, own, body.terms(), body.near_km, filed)
        except Invalid as invalid:
            raise in_form(invalid) from None
        visit.note(added.pathway.id)
        visit.ring()
        return f"{HOME}/pathways/{added.pathway.id}"

    return await visit.once(act)


def _whole(draft: _Draft, choices: Choices, language: str) -> list[Term]:
    others = [
        step_words(code, each, draft.teaches, language)
        for code, each in _others(choices).items()
        if code in draft.beside
    ]
    days = [date_in_full(found, language) for said in (draft.first_day, draft.last_day) if (found := day_of(said))]
    said = {
        "people": counts_in_words(draft.adults, draft.minors, language),
        "town": choices.town.name if choices.town else "",
        "days": " – ".join(days),
        "bed": " · ".join(wish_words(draft.wishes, language)),
        "beside": ", ".join(others),
        "along": " · ".join(wish_words(beside_bed(draft.wishes), language)),
        "near": say("console.km", language, km=draft.near_km or NEAR_KM_USUAL),
        "max_km": say("console.km", language, km=draft.max_km) if draft.max_km else "",
        "countries": " · ".join(country(code, language) for code in sorted(draft.countries)),
    }
    return [Term(say(f"console.together.term.{name}", language), words) for name, words in said.items() if words]


async def _asked(
    request: Request, visit: Visit, choices: Choices, draft: _Draft, step: str, invalid: Invalid | None = None
) -> Response:
    language = visit.language
    return await page(
        request,
        "new_pathway",
        status=422 if invalid else 200,
        choices=choices,
        asked=draft,
        find=visit.form.seeks,
        flawed=flawed(invalid.flaws, language) if invalid else {},
        whole=_whole(draft, choices, language) if step == "whole" else [],
        parties=named("console.party", sorted(_PARTIES), language),
        others=[Named(code, step_words(code, each, None, language)) for code, each in _others(choices).items()],
        taught=[Named(code, language_name(code, language)) for code in TAUGHT],
        levels=level_names(language),
        today=choices.evenings[0].value,
        near_km=NEAR_KM_USUAL,
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        most_people=MOST_PEOPLE,
        bounds=_BOUNDS,
        **_GUIDE.facts(step, draft.said(choices)),
    )
