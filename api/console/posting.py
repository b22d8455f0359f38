"""Posting a need in a few taps, and the page of a need: where it stands, why, and the code for its people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode
from uuid import UUID, uuid4

import segno
from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES, Asked, Choices, read_choices
from api.console.cards import Card, card_of
from api.console.cookies import chosen_language
from api.console.evenings import MOST_NIGHTS
from api.console.pages import HOME, page
from api.console.referrals import passed_on
from api.console.visits import ConsoleRoute, Posts, ReadsBoard, Visit, gone_to
from api.explanations import explained
from api.needs import MOST_PEOPLE
from api.problems import told
from db import allocations, boards, needs
from db.boards import OnBoard
from db.keys import Scope
from matching.posting import NeedTerms
from matching.refusals import Invalid, NotFound
from matching.vocabulary import Urgency

__all__ = ["MOST_SLIPS", "SlipShown", "asking_form", "post", "router", "slip_of", "slip_page", "slip_to"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
MOST_SLIPS: Final = 60


class OnSlip(Protocol):
    """Whose slip it is, in words."""

    @property
    def title(self) -> str:
        """How many they are."""

    @property
    def town(self) -> str:
        """From where they look for a place."""

    @property
    def times(self) -> str:
        """From when to when."""


@dataclass(frozen=True, slots=True)
class SlipShown:
    """What is handed to the people of a need."""

    code: str
    picture: str
    """The code as a QR, an SVG of our own making. It holds the code alone: no address that a browser would keep."""
    card: OnSlip


@router.get("/console/needs/new")
async def ask_for_need(request: Request, visit: Posts) -> Response:
    """The form, with the likeliest answers given."""
    return await asking_form(request, await read_choices(visit), Asked())


@router.post("/console/needs/new")
async def post_need(request: Request, visit: Posts) -> Response:
    """Post the need and go to its page; or look for a town, and ask again."""
    choices = await read_choices(visit)
    asked = Asked.of(visit.form)
    if visit.form.seeks:
        return await asking_form(request, choices, asked)
    try:
        return gone_to(await post(visit, [asked.terms(choices)]))
    except Invalid as invalid:
        return await asking_form(request, choices, asked, invalid)


@router.get("/console/needs/{need_id}")
async def show_need(need_id: UUID, request: Request, visit: ReadsBoard) -> Response:
    """Where a need stands, why it has this place or none, and its slip."""
    found = await boards.need_of(visit.tx, need_id, visit.who.organization_id)
    if found is None:
        raise NotFound
    why = await explained(visit.tx, visit.who, need_id, visit.language)
    placed = await allocations.of_needs(visit.tx, [need_id])
    passed = (await passed_on(visit, [need_id]))[need_id]
    card = card_of(found, placed[need_id], visit.language, visit.who.scopes, why.summary, passed)
    return await page(request, "need", card=card, why=why, slip=slip_of(visit, found, card), public=slip_page(request))


@router.get("/console/slips")
async def show_slips(request: Request, visit: Posts) -> Response:
    """The slips of several needs, to be printed and cut."""
    ids = [UUID(each) for each in request.query_params.getlist("need")[:MOST_SLIPS] if _is_id(each)]
    found = [await boards.need_of(visit.tx, each, visit.who.organization_id) for each in ids]
    shown = [
        slip_of(visit, each, card_of(each, (), visit.language, visit.who.scopes)) for each in found if each is not None
    ]
    return await page(request, "slips", slips=[each for each in shown if each is not None], public=slip_page(request))


async def post(visit: Visit, terms: Sequence[NeedTerms]) -> str:
    """Post needs once, all or none: the path to go on to. Raises `Invalid`."""

    async def act() -> str:
        pointers = [f"/needs/{index}" for index in range(len(terms))] if len(terms) > 1 else [""]
        added = await needs.add(visit.tx, visit.who.organization_id, terms, pointers, visit.house.slips.filed)
        visit.note(*(each.need.id for each in added))
        visit.ring()
        if len(added) == 1:
            return f"{HOME}/needs/{added[0].need.id}"
        return f"{HOME}/slips?{urlencode([('need', str(each.need.id)) for each in added])}"

    return await visit.once(act)


@router.post("/console/needs/{need_id}/withdraw")
async def withdraw_need(need_id: UUID, request: Request, visit: Posts) -> Response:
    """End a need, once it is said for sure: its places go to others at once."""
    if not visit.form.first("sure"):
        found = await boards.need_of(visit.tx, need_id, visit.who.organization_id)
        if found is None:
            raise NotFound
        card = card_of(found, (), visit.language, visit.who.scopes)
        return await page(request, "sure", question="console.withdraw.sure", card=card, answer={}, back=HOME)
    await needs.withdraw(visit.tx, need_id, visit.who.organization_id)
    visit.note(need_id)
    visit.ring()
    return gone_to(HOME)


def slip_of(visit: Visit, found: OnBoard, card: Card) -> SlipShown | None:
    """The slip of a need that lives, for a key that may post; that it was shown is written down."""
    if card.over or Scope.NEEDS_WRITE not in visit.who.scopes:
        return None
    visit.note(found.need.id)
    return slip_to(visit, found.need.pathway_id or found.need.project_id or found.need.id, card)


def slip_to(visit: Visit, opens: UUID, card: OnSlip) -> SlipShown:
    """The slip that opens this; that it was shown is written down."""
    visit.note(opens)
    code = visit.house.withheld.text(visit.house.withheld.code(opens))
    picture = segno.make(code, error="m", micro=False).svg_inline(omitsize=True, border=4, dark="#000", light="#fff")
    return SlipShown(code, picture, card)


async def asking_form(
    request: Request, choices: Choices, asked: Asked, invalid: Invalid | None = None, name: str = "new"
) -> Response:
    """A form for needs as it was filled in, with what is wrong with it."""
    language = chosen_language(request)
    flaws = told(invalid, language)[0].errors or [] if invalid else []
    return await page(
        request,
        name,
        status=422 if invalid else 200,
        choices=choices,
        asked=asked,
        form=uuid4().hex,
        flaws=list(dict.fromkeys(flaw.message for flaw in flaws)),
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        urgencies=(Urgency.NORMAL, Urgency.HIGH, Urgency.VITAL),
        most_people=MOST_PEOPLE,
        most_nights=MOST_NIGHTS,
    )


def slip_page(request: Request) -> str:
    """Where the people read their slip, as it is typed."""
    return f"{request.url.netloc}/slip"


def _is_id(written: str) -> bool:
    try:
        UUID(written)
    except ValueError:
        return False
    return True
