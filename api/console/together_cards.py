"""What is shown of pathways and projects: a card for each, with a line for each of its steps or parties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from api.console.cards import counts_in_words
from api.console.houses import category_words
from api.console.pages import HOME
from api.console.visits import Visit
from api.moments import left, moment, stretch
from api.wording import say
from db import allocations, boards, towns
from db.allocations import AllocationFacts
from db.needs import NeedFacts
from db.pathways import PathwayFacts
from db.projects import ProjectFacts
from matching.pathways import PathwayState
from matching.pathways import state_of as state_of_pathway
from matching.projects import ProjectState
from matching.states import LIVE
from matching.vocabulary import Coverage

__all__ = ["Line", "Seen", "TogetherCard", "step_words"]

_OVER: Final = frozenset({PathwayState.CLOSED, PathwayState.WITHDRAWN, ProjectState.CLOSED, ProjectState.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Line:
    """A step of a pathway, or a party of a project."""

    need_id: UUID
    title: str
    times: str
    words: str
    where: str


@dataclass(frozen=True, slots=True)
class TogetherCard:
    """A pathway or a project."""

    id: UUID
    path: str
    title: str
    counts: str
    town: str
    times: str
    words: str
    until: datetime | None
    until_words: str
    left: str
    over: bool
    posted_at: datetime
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of needs that are placed with others, in the language of who reads it."""

    placed: Mapping[UUID, Sequence[AllocationFacts]]
    names: Mapping[int, str]
    zones: Mapping[int, ZoneInfo]
    coverages: Mapping[str, Coverage]
    now: datetime
    language: str

    @classmethod
    async def of(cls, visit: Visit, found: Sequence[NeedFacts]) -> "Seen":
        """What is to be known of these."""
        placed = await allocations.of_needs(visit.tx, [each.id for each in found])
        places = await towns.several(visit.tx, {each.terms.town_id for each in found})
        zones = {each.id: ZoneInfo(each.timezone) for each in places.values()}
        names = {each.id: each.name for each in places.values()}
        coverages = await boards.categories(visit.tx)
        return cls(placed, names, zones, coverages, await boards.clock(visit.tx), visit.language)

    def pathway(self, found: PathwayFacts) -> TogetherCard:
        """A pathway."""
        state = state_of_pathway([step.state for step in found.steps])
        first = found.steps[0]
        return TogetherCard(
            id=found.id,
            path=f"{HOME}/pathways/{found.id}",
            title=say("slip.people", self.language, count=first.terms.people.count),
            counts=counts_in_words(first.terms.people.adults, first.terms.people.minors, self.language),
            town=self.names[first.terms.town_id],
            times=self._times(first),
            words=say(f"console.pathway.{state}", self.language),
            until=None,
            until_words="",
            left="",
            over=state in _OVER,
            posted_at=found.posted_at,
            lines=[
                self._line(
                    step,
                    self._step(step),
                    say("console.together.from_bed", self.language, km=found.from_bed[step.id])
                    if step.id in found.from_bed
                    else self._way(step),
                )
                for step in found.steps
            ],
        )

    def project(self, found: ProjectFacts) -> TogetherCard:
        """A project."""
        first, until = found.parties[0], found.answer_by
        zone = self.zones[first.terms.town_id]
        everybody = sum(each.terms.people.count for each in found.parties)
        return TogetherCard(
            id=found.id,
            path=f"{HOME}/projects/{found.id}",
            title=say("slip.people", self.language, count=everybody),
            counts=say("console.together.parties", self.language, count=len(found.parties)),
            town=self.names[first.terms.town_id],
            times=self._times(first),
            words=say(f"console.project.stands.{found.state}", self.language),
            until=until,
            until_words=say("console.project.until", self.language, time=moment(until, zone, self.language))
            if until
            else "",
            left=left(until - self.now, self.language) if until else "",
            over=found.state in _OVER,
            posted_at=found.posted_at,
            lines=[
                self._line(
                    each,
                    counts_in_words(each.terms.people.adults, each.terms.people.minors, self.language),
                    self._way(each),
                )
                for each in found.parties
            ],
        )

    def _step(self, step: NeedFacts) -> str:
        teaches = step.terms.language.teaches if step.terms.language else None
        return step_words(step.terms.category, self.coverages[step.terms.category], teaches, self.language)

    def _line(self, need: NeedFacts, title: str, where: str) -> Line:
        return Line(need.id, title, self._times(need), say(f"console.state.{need.state}", self.language), where)

    def _times(self, need: NeedFacts) -> str:
        return stretch(need.terms.starts, need.terms.ends, self.zones[need.terms.town_id], self.language)

    def _way(self, need: NeedFacts) -> str:
        alive = [each for each in self.placed.get(need.id, ()) if each.state in LIVE]
        return say("console.km", self.language, km=alive[0].distance_km) if alive else ""


def step_words(category: str, coverage: Coverage, teaches: str | None, language: str) -> str:
    """A kind of help in a pathway; of one that is given once within its days, that it is so."""
    named = category_words(category, teaches if coverage is Coverage.COURSE else None, language)
    return f"{named} ({say('console.pathway.once', language)})" if coverage is Coverage.ANY else named
