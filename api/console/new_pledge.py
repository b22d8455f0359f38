"""Pledging volunteers: what they can do and how many, when, and how far and how often at most."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response

from api.console.asking import Choices, Named, read_choices
from api.console.checking import checked, flawed
from api.console.forms import Form
from api.console.guided import Guide, plain
from api.console.pages import VOLUNTEERS, page
from api.console.schedules import WEEK, recurrence, weekdays
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from api.moments import language_name, skill_name
from api.pledges import PledgeIn
from api.wording import say
from db import pledges
from matching import bounds
from matching.pledging import PledgeTerms
from matching.refusals import Invalid
from matching.vocabulary import SKILLS

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_PATH: Final = "/console/pledges/new"
_GUIDE: Final = Guide(
    {
        "what": ("skill", "spoken", "headcount", "town"),
        "when": ("first_day", "last_day", "from", "until", "days", "timezone"),
        "limits": ("radius_km", "shifts_per_week_max"),
    }
)
_WITH_LANGUAGE: Final = ("interpreting", "teaching")
_SPOKEN: Final = (
    *("am", "ar", "bm", "bn", "ckb", "de", "en", "es", "fa", "ff", "fr", "ha", "it"),
    *("ku", "ln", "ps", "pt", "ru", "so", "sw", "ti", "tr", "uk", "ur", "wo"),
)
"""Languages to choose from; others go by the API."""
_RADIUS_KM: Final = 20
_WEEKLY: Final = 3


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is said of the pledge until now."""

    skill: str
    spoken: str
    headcount: int | None
    first_day: str
    last_day: str
    opens: str
    closes: str
    days: frozenset[str]
    radius_km: int | None
    weekly: int | None

    @classmethod
    def of(cls, form: Form) -> "_Draft":
        skill, spoken = form.first("skill"), form.first("spoken")
        return cls(
            skill=skill if skill in {*SKILLS, *_WITH_LANGUAGE} else "",
            spoken=spoken if spoken in _SPOKEN else "",
            headcount=form.whole("headcount"),
            first_day=form.day("first_day"),
            last_day=form.day("last_day"),
            opens=form.clock("from"),
            closes=form.clock("until"),
            days=frozenset(form.every("days")) & frozenset(WEEK),
            radius_km=form.whole("radius_km"),
            weekly=form.whole("shifts_per_week_max"),
        )

    def terms(self, choices: Choices) -> PledgeTerms:
        """Raises `Invalid` with all that is wrong."""
        skill = f"{self.skill}:{self.spoken}" if self.skill in _WITH_LANGUAGE else self.skill
        return checked(
            PledgeIn,
            {
                "skill": skill,
                "headcount": self.headcount,
                "town": choices.town.id if choices.town else None,
                "radius_km": self.radius_km,
                "first_day": self.first_day,
                "last_day": self.last_day,
                "rrule": recurrence(self.days),
                "from": self.opens,
                "until": self.closes,
                "shifts_per_week_max": self.weekly,
            },
        ).terms()

    def with_usual_limits(self) -> "_Draft":
        """The same with the limits that are proposed, while none were asked for: so that all else can be looked at."""
        return replace(
            self,
            radius_km=_RADIUS_KM if self.radius_km is None else self.radius_km,
            weekly=_WEEKLY if self.weekly is None else self.weekly,
        )

    def said(self, choices: Choices) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {
            "headcount": self.headcount,
            "radius_km": self.radius_km,
            "shifts_per_week_max": self.weekly,
        }
        words = {
            "skill": self.skill,
            "spoken": self.spoken,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "from": self.opens,
            "until": self.closes,
        }
        return {
            "town": [str(choices.town.id)] if choices.town else [],
            "days": [each for each in WEEK if each in self.days],
            **plain(numbers, words),
        }


@router.get(_PATH)
async def ask_for_pledge(request: Request, visit: WritesHouses) -> Response:
    """The first step."""
    return await _asked(request, visit, _Draft.of(visit.form), await read_choices(visit), _GUIDE.first)


@router.post(_PATH)
async def add_pledge(request: Request, visit: WritesHouses) -> Response:
    """One step; after the last one the volunteers are pledged."""
    draft, choices = _Draft.of(visit.form), await read_choices(visit)
    return await _GUIDE.walk(
        visit.form,
        partial(_asked, request, visit, draft, choices),
        lambda: pledges.check_new(visit.tx, draft.with_usual_limits().terms(choices)),
        lambda: _add(visit, draft.terms(choices)),
    )


async def _add(visit: Visit, terms: PledgeTerms) -> str:
    async def act() -> str:
        visit.note(await pledges.add(visit.tx, visit.who.organization_id, terms))
        return VOLUNTEERS

    return await visit.once(act)


async def _asked(
    request: Request, visit: Visit, draft: _Draft, choices: Choices, step: str, invalid: Invalid | None = None
) -> Response:
    language = visit.language
    today = choices.now.astimezone(choices.zone).date()
    return await page(
        request,
        "new_pledge",
        status=422 if invalid else 200,
        choices=choices,
        asked=draft,
        find=visit.form.seeks,
        flawed=flawed(invalid.flaws, language) if invalid else {},
        skills=[
            *(Named(code, skill_name(code, language)) for code in sorted(SKILLS)),
            *(Named(code, say(f"console.skill.{code}", language)) for code in _WITH_LANGUAGE),
        ],
        spoken=[Named(code, language_name(code, language)) for code in _SPOKEN],
        today=today.isoformat(),
        week=weekdays(language),
        radius_km=_RADIUS_KM,
        weekly=_WEEKLY,
        bounds=bounds,
        **_GUIDE.facts(step, draft.said(choices)),
    )
