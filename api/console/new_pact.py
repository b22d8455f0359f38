"""Proposing a pact: for which town and with which, who signs for that, the terms, and all of it once more.

Who proposes signs. Partners to choose are those who are named in public or with a practice; anybody else is known by
the number that it tells.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.asking import Named
from api.console.checking import flawed
from api.console.forms import Form
from api.console.guided import Guide
from api.console.pact_form import STEPS, TermsDraft, look_at_terms, terms_words
from api.console.pact_words import PactSide
from api.console.pages import PACTS, page
from api.console.visits import ConsoleRoute, SignsPacts, Visit
from db import boards, pacts, signers, towns
from db.keys import Scope
from db.pact_facts import Side
from db.signers import Signer, Sought
from db.towns import TownFacts
from matching import bounds
from matching.refusals import Flaw, Invalid
from matching.vocabulary import Coverage

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_PATH: Final = f"{PACTS}/new"
_GUIDE: Final = Guide({"towns": ("town", "partner_town"), "who": ("partner", "number"), **STEPS})
_MOST_FOUND: Final = 6


@dataclass(frozen=True, slots=True)
class _Places:
    """What there is to choose from: its towns, those that may be the other one, who signs in these, and for what."""

    own: list[TownFacts]
    others: list[TownFacts]
    signers: list[Signer]
    categories: Mapping[str, Coverage]


@dataclass(frozen=True, slots=True)
class _Draft:
    """The two sides and the terms, as far as the form has them."""

    town: TownFacts | None
    partner_town: TownFacts | None
    partner: UUID | None
    number: UUID | None
    """Of a partner that is in no list; it goes before one that was chosen."""
    is_no_number: bool
    terms: TermsDraft

    @classmethod
    def of(cls, form: Form, places: _Places) -> Self:
        written = any(form.every("number"))
        number = form.uuid("number")
        return cls(
            town=_chosen(places.own, form.first("town")),
            partner_town=_chosen(places.others, "" if form.seeks else form.first("partner_town")),
            partner=form.uuid("partner"),
            number=number,
            is_no_number=written and number is None,
            terms=TermsDraft.of(form, places.categories),
        )

    def sides(self, own: UUID) -> tuple[Side, Side]:
        """Who proposes, and to whom. Raises `Invalid`."""
        flaws, signs = tuple(self._flaws()), self.number or self.partner
        if flaws or self.town is None or self.partner_town is None or signs is None:
            raise Invalid(flaws)
        return Side(own, self.town.id), Side(signs, self.partner_town.id)

    def said(self) -> Mapping[str, list[str]]:
        """The same as fields of a form."""
        ids = {"partner": self.partner, "number": self.number}
        places = {"town": self.town, "partner_town": self.partner_town}
        return {
            **{name: [str(place.id)] for name, place in places.items() if place},
            **{name: [str(each)] for name, each in ids.items() if each},
            **self.terms.said(),
        }

    def _flaws(self) -> Iterator[Flaw]:
        if self.town is None:
            yield Flaw("/town", "required")
        if self.partner_town is None:
            yield Flaw("/partner_town", "required")
        elif self.town is not None and self.town.id == self.partner_town.id:
            yield Flaw("/partner_town", "same_town")
        if self.is_no_number:
            yield Flaw("/number", "not_an_id")
        elif self.number is None and self.partner is None:
            yield Flaw("/partner", "required")


@router.get(_PATH)
async def ask_for_pact(request: Request, visit: SignsPacts) -> Response:
    """The first step."""
    places = await _places(visit)
    return await _asked(request, visit, places, _Draft.of(visit.form, places), _GUIDE.first)


@router.post(_PATH)
async def propose_pact(request: Request, visit: SignsPacts) -> Response:
    """One step; after the last one the pact is proposed, and signed by who proposes it."""
    places = await _places(visit)
    draft = _Draft.of(visit.form, places)
    return await _GUIDE.walk(
        visit.form,
        partial(_asked, request, visit, places, draft),
        lambda: _look(visit, draft),
        lambda: _propose(visit, draft),
    )


async def _look(visit: Visit, draft: _Draft) -> None:
    """Raises `Invalid` with all that is wrong; whether the sides may make a pact is asked once both are known."""
    found: tuple[Flaw, ...] = ()
    try:
        await pacts.check_parties(visit.tx, *draft.sides(visit.who.organization_id))
    except Invalid as invalid:
        found += invalid.flaws
    try:
        if draft.town and draft.partner_town:
            await look_at_terms(visit.tx, draft.town.id, draft.partner_town.id, draft.terms)
    except Invalid as invalid:
        found += invalid.flaws
    if found:
        raise Invalid(found)


async def _propose(visit: Visit, draft: _Draft) -> str:
    sides, terms = draft.sides(visit.who.organization_id), draft.terms.terms()

    async def act() -> str:
        visit.note(await pacts.add(visit.tx, *sides, terms))
        visit.ring()
        return PACTS

    return await visit.once(act)


async def _places(visit: Visit) -> _Places:
    form, who = visit.form, visit.who
    own = sorted((await towns.several(visit.tx, who.towns)).values(), key=lambda town: town.name)
    sought = form.first("q") if form.seeks else ""
    others = await _found(visit, sought, own) if sought else []
    chosen = form.first("partner_town")
    if not others and chosen.isdecimal() and len(chosen) <= 9:
        others = list((await towns.several(visit.tx, [int(chosen)])).values())
    named = await _signers(visit, Sought(who.organization_id, [each.id for each in others])) if others else []
    return _Places(own, others, named, await boards.categories(visit.tx))


async def _found(visit: Visit, sought: str, own: list[TownFacts]) -> list[TownFacts]:
    """Towns of this name, and those of organizations that have it in theirs."""
    near = own[0].point if own else None
    found = await towns.search(visit.tx, sought, country=None, near=near, limit=_MOST_FOUND)
    named = await _signers(visit, Sought(visit.who.organization_id, name=sought))
    more = {each.town_id for each in named} - {each.id for each in found}
    return [*found, *list((await towns.several(visit.tx, more)).values())[:_MOST_FOUND]]


async def _signers(visit: Visit, sought: Sought) -> list[Signer]:
    """Those whom this key may know of; the register is for those who read offers."""
    told = await signers.telling(visit.tx, sought) if Scope.OFFERS_READ in visit.who.scopes else []
    found = {(each.organization_id, each.town_id): each for each in [*await signers.giving(visit.tx, sought), *told]}
    return sorted(found.values(), key=lambda each: each.name)


def _chosen(among: list[TownFacts], said: str) -> TownFacts | None:
    """The town that was said, or the first while none was."""
    return next((each for each in among if str(each.id) == said), None if said else next(iter(among), None))


def _at_their_fields(invalid: Invalid, draft: _Draft, *, chooses: bool) -> tuple[Flaw, ...]:
    """What is wrong with the partner, where it was said: a number goes before a choice, and stands alone without."""
    by_number = draft.number is not None or not chooses
    return tuple(Flaw("/number", each.code) if by_number and each.at == "/partner" else each for each in invalid.flaws)


async def _asked(
    request: Request, visit: Visit, places: _Places, draft: _Draft, step: str, invalid: Invalid | None = None
) -> Response:
    language = visit.language
    zone = ZoneInfo(draft.town.timezone if draft.town else "UTC")
    today = (await boards.clock(visit.tx)).astimezone(zone).date()
    own, other, signs = draft.town, draft.partner_town, str(draft.number or draft.partner)
    signing = [each for each in places.signers if other and each.town_id == other.id]
    named = [Named(str(each.organization_id), each.name) for each in signing]
    whole = (
        PactSide(own, other, proposes=True, language=language).terms(draft.terms.terms())
        if step == "whole" and own and other
        else []
    )
    return await page(
        request,
        "new_pact",
        status=422 if invalid else 200,
        asked=draft.terms,
        draft=draft,
        own=[Named(str(each.id), each.name) for each in places.own],
        others=places.others,
        signers=named,
        signs=next((each.words for each in named if each.value == signs), signs),
        find=visit.form.seeks,
        flawed=flawed(_at_their_fields(invalid, draft, chooses=bool(named)), language) if invalid else {},
        whole=whole,
        bounds=bounds,
        **terms_words(language, places.categories, today),
        **_GUIDE.facts(step, draft.said()),
    )
