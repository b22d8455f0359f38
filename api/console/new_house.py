"""Adding a house: what it is and in which town, what is there and who learns where it is, then the way to it.

The way is asked for last and sealed at once: no page shows it again, not even the form that it was wrong in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES, Choices, Named, named, read_choices
from api.console.checking import checked, flawed
from api.console.describing import MAY_ASK_WHERE, way_in
from api.console.forms import Form
from api.console.guided import Guide, plain
from api.console.pages import HOUSES, page
from api.console.visits import ConsoleRoute, Visit, WritesHouses, gone_to
from api.moments import skill_name
from api.sites import SiteIn
from api.wording import say
from db import sites
from db.sites import SiteTerms, Staffing
from matching import bounds
from matching.refusals import Invalid
from matching.vocabulary import ACCESS, PROTECTIVE, SKILLS, SiteKind, Visibility

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_GUIDE: Final = Guide(
    {
        "what": ("name", "kind", "town"),
        "there": ("wish", "provides", "visibility", "skill", "each", "minimum"),
        "where": ("address", "meeting_point", "point"),
    }
)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is said of the house until now, but for where it is."""

    name: str
    kind: str
    wishes: frozenset[str]
    visibility: str
    skill: str
    each: int | None
    minimum: int | None

    @classmethod
    def of(cls, form: Form) -> "_Draft":
        kind, visibility, skill = form.first("kind"), form.first("visibility"), form.first("skill")
        return cls(
            name=form.words("name"),
            kind=kind if kind in set(SiteKind) else "",
            wishes=frozenset(form.every("wish")) & (ACCESS | PROTECTIVE),
            visibility=visibility if visibility in set(Visibility) else Visibility.ON_CONFIRMATION,
            skill=skill if skill in SKILLS else "",
            each=form.whole("each"),
            minimum=form.whole("minimum"),
        )

    def terms(self, choices: Choices) -> SiteTerms:
        """Raises `Invalid` with all that is wrong."""
        town = choices.town
        somewhere = {"type": "Point", "coordinates": (town.point.longitude, town.point.latitude) if town else (0, 0)}
        staffing = {"skill": self.skill, "people_per_volunteer": self.each, "minimum": self.minimum}
        said = {name: value for name, value in staffing.items() if value not in ("", None)}
        body = checked(
            SiteIn,
            {
                "name": self.name,
                "town": town.id if town else None,
                "kind": self.kind,
                "location": somewhere,
                "visibility": self.visibility,
                "provides": sorted(self.wishes),
                # Numbers without a skill are told, not dropped: whoever wrote them counts on volunteers.
                "staffing": said or None,
            },
        )
        return SiteTerms(
            name=body.name,
            town_id=body.town,
            kind=body.kind,
            visibility=body.visibility,
            provides=frozenset(body.provides),
            staffing=Staffing(self.skill, body.staffing.people_per_volunteer, body.staffing.minimum)
            if body.staffing
            else None,
        )

    def said(self, choices: Choices) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {"each": self.each, "minimum": self.minimum}
        return {
            "name": [self.name],
            "kind": [self.kind],
            "town": [str(choices.town.id)] if choices.town else [],
            "wish": sorted(self.wishes),
            "visibility": [self.visibility],
            "skill": [self.skill],
            **plain(numbers, {}),
        }


@router.get(f"{HOUSES}/new")
async def ask_for_house(request: Request, visit: WritesHouses) -> Response:
    """The first step."""
    return await _asked(request, visit, _Draft.of(visit.form), await read_choices(visit), _GUIDE.first)


@router.post(f"{HOUSES}/new")
async def add_house(request: Request, visit: WritesHouses) -> Response:
    """Go on to the next step, back, or look for a town; after the last one the house is added."""
    draft, choices, step = _Draft.of(visit.form), await read_choices(visit), _GUIDE.sent(visit.form)
    if visit.form.first("find"):
        return await _asked(request, visit, draft, choices, _GUIDE.first)
    if visit.form.first("back"):
        return await _asked(request, visit, draft, choices, _GUIDE.before(step))
    try:
        following = _GUIDE.after(step)
        if following is not None:
            _look_at(draft, choices, step)
            return await _asked(request, visit, draft, choices, following)
        return gone_to(await _add(visit, draft.terms(choices)))
    except Invalid as invalid:
        return await _asked(request, visit, draft, choices, _GUIDE.earliest(invalid.flaws), invalid)


def _look_at(draft: _Draft, choices: Choices, step: str) -> None:
    try:
        draft.terms(choices)
    except Invalid as invalid:
        found = _GUIDE.until(step, invalid.flaws)
        if found:
            raise Invalid(found) from None


async def _add(visit: Visit, terms: SiteTerms) -> str:
    told = way_in(visit.form, terms.visibility)

    async def act() -> str:
        own, vault = visit.who.organization_id, visit.house.vault
        site_id = await sites.add(visit.tx, own, terms, told.place, vault)
        if told.address is not None:
            tombstones = visit.house.tombstone_key
            await sites.set_address(visit.tx, site_id, own, None, told.address, vault, tombstones)
        visit.note(site_id)
        return f"{HOUSES}/{site_id}/offers/new"

    return await visit.once(act)


async def _asked(
    request: Request, visit: Visit, draft: _Draft, choices: Choices, step: str, invalid: Invalid | None = None
) -> Response:
    answer = await page(
        request,
        "new_house",
        status=422 if invalid else 200,
        step=step,
        number=_GUIDE.number(step),
        steps=len(_GUIDE.steps),
        kept=_GUIDE.kept(draft.said(choices), step),
        choices=choices,
        form=uuid4().hex,
        asked=draft,
        find=visit.form.first("find"),
        flawed=flawed(invalid.flaws, visit.language) if invalid else {},
        kinds=named("console.kind", SiteKind, visit.language),
        visibilities=named("console.visibility", Visibility, visit.language),
        skills=[Named("", say("console.house.skill.none", visit.language)), *_skills(visit.language)],
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        bounds=bounds,
    )
    answer.headers.update(MAY_ASK_WHERE)
    return answer


def _skills(language: str) -> list[Named]:
    return [Named(code, skill_name(code, language)) for code in sorted(SKILLS)]
