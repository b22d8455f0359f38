"""What a form says of a house, but for where it is: of one that is to be added, or as one stands that is changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from api.console.asking import FIRST_WISHES, MORE_WISHES, Named, named
from api.console.checking import checked
from api.console.forms import Form
from api.console.guided import plain
from api.moments import skill_name
from api.sites import SiteIn
from api.wording import say
from db.sites import SiteTerms, Staffing
from db.towns import TownFacts
from matching.vocabulary import ACCESS, PROTECTIVE, SKILLS, SiteKind, Visibility

__all__ = ["HouseDraft", "house_words"]


@dataclass(frozen=True, slots=True)
class HouseDraft:
    """A house as its form has it."""

    name: str
    kind: str
    wishes: frozenset[str]
    visibility: str
    skill: str
    each: int | None
    minimum: int | None

    @classmethod
    def of(cls, form: Form, skills: Collection[str] = SKILLS) -> Self:
        """Read what was chosen; what is no choice of ours is left out."""
        kind, visibility, skill = form.first("kind"), form.first("visibility"), form.first("skill")
        return cls(
            name=form.words("name"),
            kind=kind if kind in set(SiteKind) else "",
            wishes=frozenset(form.every("wish")) & (ACCESS | PROTECTIVE),
            visibility=visibility if visibility in set(Visibility) else "",
            skill=skill if skill in skills else "",
            each=form.whole("each"),
            minimum=form.whole("minimum"),
        )

    @classmethod
    def of_house(cls, terms: SiteTerms) -> Self:
        """A house as it stands."""
        staffing = terms.staffing
        return cls(
            name=terms.name,
            kind=terms.kind,
            wishes=terms.provides & (ACCESS | PROTECTIVE),
            visibility=terms.visibility,
            skill=staffing.skill if staffing else "",
            each=staffing.people_per_volunteer if staffing else None,
            minimum=staffing.minimum if staffing else None,
        )

    @property
    def staffing(self) -> dict[str, object] | None:
        """Volunteers as requests say them; numbers without a skill too: they are told, not dropped."""
        numbers = {"skill": self.skill, "people_per_volunteer": self.each, "minimum": self.minimum}
        return {name: value for name, value in numbers.items() if value not in ("", None)} or None

    def terms(self, town: TownFacts | None) -> SiteTerms:
        """The house that this adds. Raises `Invalid` with all that is wrong."""
        somewhere = {"type": "Point", "coordinates": (town.point.longitude, town.point.latitude) if town else (0, 0)}
        body = checked(
            SiteIn,
            {
                "name": self.name,
                "town": town.id if town else None,
                "kind": self.kind,
                "location": somewhere,
                "visibility": self.visibility,
                "provides": sorted(self.wishes),
                "staffing": self.staffing,
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

    def said(self, town: TownFacts | None) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        numbers = {"each": self.each, "minimum": self.minimum}
        return {
            "name": [self.name],
            "kind": [self.kind],
            "town": [str(town.id)] if town else [],
            "wish": sorted(self.wishes),
            "visibility": [self.visibility],
            "skill": [self.skill],
            **plain(numbers, {}),
        }


def house_words(language: str, skills: Collection[str] = SKILLS) -> dict[str, object]:
    """What there is to choose from, in words."""
    return {
        "kinds": named("console.kind", SiteKind, language),
        "visibilities": named("console.visibility", Visibility, language),
        "skills": [
            Named("", say("console.house.skill.none", language)),
            *(Named(code, skill_name(code, language)) for code in sorted(skills)),
        ],
        "first_wishes": FIRST_WISHES,
        "more_wishes": MORE_WISHES,
    }
