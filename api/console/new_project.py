"""Posting a project in steps: where and when, the parties, how near each other and how many at least; and all of it.

Of a party there are its head-counts, and whether it needs a place without steps; other requirements go by the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import time, timedelta
from functools import partial
from typing import Final, Self

from fastapi import APIRouter, Request, Response

from api.console.asking import Choices, read_choices
from api.console.cards import counts_in_words
from api.console.checking import checked
from api.console.forms import Form
from api.console.guided import Guide, look_at, plain
from api.console.pact_words import Term
from api.console.pages import HOME, page
from api.console.together_form import at, day_of, flawed_by_row, in_form, row_of
from api.console.visits import ConsoleRoute, Posts, Visit
from api.moments import country, date_in_full
from api.needs import MOST_PEOPLE
from api.projects import ProjectIn
from api.wording import say
from db import projects
from matching.bounds import ANSWER_HOURS, ANSWER_HOURS_USUAL, MOVERS, TOGETHER_KM, WAY_KM
from matching.projects import MOST_PARTIES
from matching.refusals import Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_PATH: Final = f"{HOME}/projects/new"
_GUIDE: Final = Guide(
    {
        "when": ("town", "first_day", "last_day"),
        "who": ("adults", "minors", "step_free", "parties"),
        "together": ("together_km", "minimum", "answer_hours", "max_km", "country", "countries"),
        "whole": (),
    }
)
_EVENING, _MORNING = time(18), time(9)
_ROWS: Final = 6
_BOUNDS: Final = {
    "together_km": TOGETHER_KM,
    "minimum": MOVERS,
    "answer_hours": ANSWER_HOURS,
    "max_km": WAY_KM,
}


@dataclass(frozen=True, slots=True)
class Party:
    """A row of the form."""

    adults: int
    minors: int
    step_free: bool

    @property
    def people(self) -> int:
        """All of them."""
        return self.adults + self.minors


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is said of the project until now."""

    first_day: str
    last_day: str
    parties: tuple[Party, ...]
    together_km: int | None
    minimum: int | None
    answer_hours: int | None
    max_km: int | None
    countries: frozenset[str]

    @classmethod
    def of(cls, form: Form, choices: Choices) -> Self:
        """Read what was chosen; rows in which nobody is counted are no parties."""
        steps = set(form.every("step_free"))
        counts = enumerate(zip(form.numbers("adults"), form.numbers("minors"), strict=False))
        return cls(
            first_day=form.day("first_day"),
            last_day=form.day("last_day"),
            parties=tuple(Party(*pair, str(row) in steps) for row, pair in counts if pair != (0, 0)),
            together_km=form.whole("together_km"),
            minimum=form.whole("minimum"),
            answer_hours=form.whole("answer_hours"),
            max_km=form.whole("max_km"),
            countries=frozenset(form.every("country")) & {each.value for each in choices.countries},
        )

    def with_usual_rest(self, choices: Choices) -> Self:
        """The same with two parties and a distance while none were asked for, so that all else can be looked at."""
        return replace(
            self,
            first_day=self.first_day or choices.evenings[0].value,
            last_day=self.last_day or (choices.now.date() + timedelta(days=30)).isoformat(),
            parties=self.parties if len(self.parties) > 1 else (Party(1, 0, False),) * 2,  # noqa: FBT003 - a row
            together_km=0 if self.together_km is None else self.together_km,
        )

    def requested(self, choices: Choices) -> ProjectIn:
        """The project as requests say it. Raises `Invalid`, each flaw where the form asks for it."""
        said: dict[str, object] = {
            "town": choices.town.id if choices.town else None,
            "from": at(self.first_day, _EVENING, choices) if self.first_day else None,
            "until": at(self.last_day, _MORNING, choices) if self.last_day else None,
            "countries": sorted(self.countries | {choices.town.country}) if choices.town else None,
            "max_km": self.max_km,
            "together_km": self.together_km,
            "minimum": self.minimum,
            "answer_hours": self.answer_hours,
            "parties": [
                {
                    "people": {"adults": each.adults, "minors": each.minors},
                    "requires": ["step_free"] if each.step_free else [],
                }
                for each in self.parties
            ],
        }
        try:
            return checked(ProjectIn, said)
        except Invalid as invalid:
            raise in_form(invalid) from None

    def said(self, choices: Choices) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {
            "together_km": self.together_km,
            "minimum": self.minimum,
            "answer_hours": self.answer_hours,
            "max_km": self.max_km,
        }
        return {
            "town": [str(choices.town.id)] if choices.town else [],
            "adults": [str(each.adults) for each in self.parties],
            "minors": [str(each.minors) for each in self.parties],
            "step_free": [str(row) for row, each in enumerate(self.parties) if each.step_free],
            "country": sorted(self.countries),
            **plain(numbers, {"first_day": self.first_day, "last_day": self.last_day}),
        }

    def rows(self, more: int) -> tuple[Party, ...]:
        """The parties, and empty rows for others."""
        wanted = min(max(len(self.parties) + more, _ROWS), MOST_PARTIES)
        return (*self.parties, *[Party(0, 0, False)] * (wanted - len(self.parties)))  # noqa: FBT003 - a row


@router.get(_PATH)
async def ask_for_project(request: Request, visit: Posts) -> Response:
    """The first step."""
    choices = await read_choices(visit)
    return await _asked(request, visit, choices, _Draft.of(visit.form, choices), _GUIDE.first)


@router.post(_PATH)
async def post_project(request: Request, visit: Posts) -> Response:
    """One step, or more rows; after the last step the project is posted."""
    choices = await read_choices(visit)
    draft = _Draft.of(visit.form, choices)
    if visit.form.first("more"):
        return await _asked(request, visit, choices, draft, "who")

    async def check(body: ProjectIn) -> None:
        try:
            await projects.check_new(visit.tx, body.terms(), body.needs())
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


async def _post(visit: Visit, body: ProjectIn) -> str:
    async def act() -> str:
        own, filed = visit.who.organization_id, visit.house.slips.filed
        try:
            project = await projects.add(visit.tx, own, body.terms(), body.needs(), filed)
        except Invalid as invalid:
            raise in_form(invalid) from None
        visit.note(project.id)
        visit.ring()
        return f"{HOME}/projects/{project.id}"

    return await visit.once(act)


def _whole(draft: _Draft, choices: Choices, language: str) -> list[Term]:
    days = [date_in_full(found, language) for said in (draft.first_day, draft.last_day) if (found := day_of(said))]
    everybody = sum(each.people for each in draft.parties)
    steps = sum(each.step_free for each in draft.parties)
    said = {
        "people": say("slip.people", language, count=everybody),
        "parties": " · ".join(counts_in_words(each.adults, each.minors, language) for each in draft.parties),
        "step_free": str(steps) if steps else "",
        "town": choices.town.name if choices.town else "",
        "days": " – ".join(days),
        "apart": say("console.km", language, km=draft.together_km or 0),
        "minimum": say("slip.people", language, count=draft.minimum or everybody),
        "answer": say("console.together.hours", language, count=draft.answer_hours or ANSWER_HOURS_USUAL),
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
        "new_project",
        status=422 if invalid else 200,
        choices=choices,
        asked=draft,
        rows=draft.rows(_ROWS if visit.form.first("more") else 0),
        find=visit.form.seeks,
        flawed=flawed_by_row(invalid.flaws, language) if invalid else {},
        flawed_rows={row_of(flaw) for flaw in invalid.flaws} if invalid else set(),
        whole=_whole(draft, choices, language) if step == "whole" else [],
        today=choices.evenings[0].value,
        most_people=MOST_PEOPLE,
        answer_hours=ANSWER_HOURS_USUAL,
        bounds=_BOUNDS,
        **_GUIDE.facts(step, draft.said(choices)),
    )
