"""What a planner asks: so many more places, or fewer, of some kind, in a town; and what there is to choose from.

By night places are asked for. By day people: one place there serves many, one after the other.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import Request

from api.console.asking import PARTIES
from api.console.evenings import MOST_NIGHTS
from api.console.figures import town_asked
from api.console.network import category_words
from api.console.pages import WHAT_IF
from api.console.visits import Visit
from api.wording import say
from db import boards, published, towns
from db.towns import TownFacts
from geo.distance import Kilometres
from matching.figures.tables import Span
from matching.policy import Policy
from matching.refusals import Invalid
from matching.revising import LIMITS
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Coverage

__all__ = ["MOST", "USUAL_NIGHTS", "Choice", "Chosen", "Question", "link_to", "offered", "read_question"]

MOST: Final = {"places": 500, "km": int(LIMITS["radius_km"].most), "nights": MOST_NIGHTS, "name": 80}
"""The most that a form may say."""
_PLACES = "10"
USUAL_NIGHTS: Final = 7
_MORE, _FEWER = "more", "fewer"
_MOST_TOWNS: Final = 500
_MOST_FOUND: Final = 6
Choice = Sequence[tuple[str, str]]
"""What a field offers: as it is sent, and as it is said."""


@dataclass(frozen=True, slots=True)
class Question:
    """So many places a night, or people a day; the house is as `audience` and `wishes` say, and open for `nights`.

    `town` is the one that is chosen. `found` are towns of a name that was looked for.
    """

    town: TownFacts | None
    found: Sequence[TownFacts]
    looked_for: bool
    category: str
    coverage: Coverage
    places: int
    fewer: bool
    km: Kilometres
    abroad: bool
    span: Span
    audience: Audience
    nights: int
    wishes: frozenset[str]

    @property
    def about(self) -> TownFacts | None:
        """The town to answer for: none where a name was looked for and not found, whatever was chosen before."""
        return None if self.looked_for and not self.found else self.town

    @property
    def by_night(self) -> bool:
        """Whether a place is taken for a whole night or day, and not by one after the other."""
        return self.coverage is Coverage.EVERY


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the fields of the form offer."""

    towns: Choice
    categories: Choice
    ways: Choice
    spans: Choice
    open_to: Choice


async def read_question(request: Request, visit: Visit, policy: Policy) -> Question:
    """What stands in an address; what it does not say is likeliest. Raises `Invalid`."""
    said = request.query_params
    coverages = await _coverages(visit)
    category = _one_of(said.get("for", "shelter"), coverages, "?for", "unknown_category")
    name = said.get("q", "").strip()[: MOST["name"]]
    chosen = await _town(visit, said.get("town", ""))
    near = chosen.point if chosen else None
    found = await towns.search(visit.tx, name, country=None, near=near, limit=_MOST_FOUND) if name else []
    return Question(
        # Who looked for a town means what was found, not what was chosen before.
        town=found[0] if found else chosen,
        found=found,
        looked_for=bool(name),
        category=category,
        coverage=coverages[category],
        places=_number(said.get("places", _PLACES), 1, "places"),
        fewer=_one_of(said.get("way", _MORE), (_MORE, _FEWER), "?way") == _FEWER,
        km=Kilometres(_number(said.get("km", str(policy.radius_km)), 0, "km")),
        abroad="abroad" in said,
        span=Span(_one_of(said.get("span", Span.WEEK.value), list(Span), "?span")),
        audience=Audience(_one_of(said.get("open_to", Audience.ANYONE.value), list(Audience), "?open_to")),
        nights=_number(said.get("nights", str(USUAL_NIGHTS)), 1, "nights"),
        wishes=frozenset(said.getlist("wish")) & (ACCESS | PROTECTIVE),
    )


def link_to(asked: Question, town: TownFacts | None) -> str:
    """Where the same is asked of this town, as it was understood: what was typed and not known is in no link."""
    said: list[tuple[str, str | int]] = [
        ("places", asked.places),
        ("way", _FEWER if asked.fewer else _MORE),
        ("for", asked.category),
        ("km", asked.km),
        ("span", asked.span.value),
        ("open_to", asked.audience.value),
        ("nights", asked.nights),
        *(("wish", wish) for wish in sorted(asked.wishes)),
    ]
    if asked.abroad:
        said.append(("abroad", 1))
    if town is not None:
        said.append(("town", town.id))
    return f"{WHAT_IF}?{urlencode(said)}"


async def offered(visit: Visit, asked: Question) -> Chosen:
    """The choices, among which is what was chosen."""
    language = visit.language
    own = (await towns.several(visit.tx, visit.who.towns)).values()
    told = await published.towns_told(visit.tx, _MOST_TOWNS)
    first = [*asked.found, *([asked.town] if asked.town else []), *sorted(own, key=lambda town: (town.name, town.id))]
    listed = {each.id: f"{each.name} ({each.country})" for each in first}
    listed |= {each.id: f"{each.name} ({each.country})" for each in told}
    return Chosen(
        towns=[(str(number), name) for number, name in listed.items()],
        categories=[(code, category_words(code, language)) for code in sorted(await _coverages(visit))],
        ways=_said("console.whatif", (_MORE, _FEWER), language),
        spans=_said("console.figures", Span, language),
        open_to=[("anyone", say("console.audience.anyone", language)), *_said("console.party", PARTIES, language)],
    )


def _said(prefix: str, codes: Iterable[str], language: str) -> Choice:
    return [(str(code), say(f"{prefix}.{code}", language)) for code in codes]


async def _coverages(visit: Visit) -> dict[str, Coverage]:
    """Kinds of help that are given by the night or the day; a seat in a class is taken for months."""
    return {code: rule for code, rule in (await boards.categories(visit.tx)).items() if rule is not Coverage.COURSE}


async def _town(visit: Visit, written: str) -> TownFacts | None:
    """The town of a number; where none is said the organization's first."""
    if written:
        return await towns.get(visit.tx, await town_asked(visit, written))
    own = await towns.several(visit.tx, visit.who.towns)
    return min(own.values(), key=lambda town: (town.name, town.id), default=None)


def _one_of(written: str, choices: Collection[str], at: str, code: str = "not_understood") -> str:
    if written not in choices:
        raise Invalid.one(at, code)
    return written


def _number(written: str, least: int, name: str) -> int:
    if not (written.isascii() and written.isdecimal() and len(written) <= 4 and least <= int(written) <= MOST[name]):
        raise Invalid.one(f"?{name}", "not_understood")
    return int(written)
