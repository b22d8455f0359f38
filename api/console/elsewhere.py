"""Signing in elsewhere: an issuer says for which organization somebody signs in, and nothing of who it is is kept.

Whatever goes wrong ends on a page of its own address, without the code
that came with the browser; where all went well, a page of ours leads on, for a session's cookie is not sent with what
another site began. The door by a key is always there.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.console.beginning import begin
from api.console.cookies import chosen_language, keep_token
from api.console.forms import read_form
from api.console.legs import Admitted, Asked, admitted_in, asked_in, forget_leg, keep_admitted, keep_asked
from api.console.origins import refuse_strange_origin
from api.console.pages import SIGN_IN, home_of, page
from api.console.visits import gone_to
from api.console.vouching import NotIn, NotSignedIn, Said, back_to, once, registration_of, told, vouched_for
from api.house import House, house_of
from api.problems import RateLimited
from api.wording import LANGUAGES, say
from db import issuers, keys
from db.connection import transaction
from db.issuers import Admission
from identity.asking import NoAnswer
from identity.issuers import Leg
from identity.registration import BACK

__all__ = ["Offered", "begun_at", "offered", "router"]

router = APIRouter(include_in_schema=False)
_WITH: Final = f"{SIGN_IN}/with/{{issuer_id}}"
_WHICH: Final = f"{SIGN_IN}/which"
_MOST_ORGANIZATIONS: Final = 40
"""To choose from: more than any person works for, and few enough for a cookie."""


_STATUS: Final = {
    NotIn.AGAIN: 400,
    NotIn.DECLINED: 403,
    NotIn.NOBODY: 403,
    NotIn.OFTEN: 429,
    NotIn.AWAY: 503,
    NotIn.UNUSABLE: 502,
}


@dataclass(frozen=True, slots=True)
class Offered:
    """An issuer as the page where one signs in shows it."""

    name: str
    path: str


async def offered(house: House) -> list[Offered]:
    """By which issuers one may sign in; none where it is not known at which address people open this house."""
    if house.settings.public_origin is None:
        return []
    async with transaction(house.engine) as tx:
        found = await issuers.every(tx)
    return [Offered(each.name, f"{SIGN_IN}/with/{each.id}") for each in found if each.admits]


def begun_at(request: Request, house: House) -> str | None:
    """The address of this house at which people set out, `None` where they are there.

    Issuers send back to that one alone, and what a browser holds meanwhile stays with the address where it set out.
    """
    if house.settings.public_origin is None:
        return None
    own = urlsplit(house.settings.public_origin)
    by_itself = ":443" if own.scheme == "https" else ":80"
    here = request.headers.get("host", "").casefold().removesuffix(by_itself)
    return None if here == own.netloc.casefold().removesuffix(by_itself) else house.settings.public_origin


@router.get(_WITH)
async def lead_to_button() -> Response:
    """The page with the buttons: a link alone, which anybody can send, leads no further."""
    return gone_to(SIGN_IN)


@router.post(_WITH)
async def set_out(issuer_id: UUID, request: Request) -> Response:
    """Go to an issuer, by its button alone; nothing is written but a cookie.

    A page of ours stands between: some browsers let a form lead to nobody whom the policy does not name, even by an
    answer that leads on.
    """
    refuse_strange_origin(request)
    house, language = house_of(request), chosen_language(request)
    if begun_at(request, house) is not None:
        return gone_to(SIGN_IN)
    async with transaction(house.engine) as tx:
        issuer = await issuers.read(tx, issuer_id)
    leg = Leg.new()
    try:
        registration = registration_of(house, issuer)
        way = await house.issuers.way_to(registration, back_to(house, registration), leg)
    except NoAnswer as none:
        return _gone_wrong(told(none, issuer.id), language)
    answer = await page(request, "sign_in_there", called=issuer.name, way=way)
    keep_asked(answer, house, Asked(issuer.id, language, leg))
    return answer


@router.get(f"{BACK}/{{mark}}")
async def come_back(mark: str, request: Request) -> Response:
    """Come back from an issuer: the session begins, or it is said why not."""
    house, said = house_of(request), Said.of(request, mark)
    asked = asked_in(request, house)
    # A browser that was not sent away with this is left as it is: what it holds may be of another leg.
    if asked is None or not hmac.compare_digest(asked.leg.state.encode(), said.state.encode()):
        return _gone_wrong(NotIn.AGAIN, asked.language if asked else chosen_language(request))
    try:
        admitted = await vouched_for(request, house, asked, said)
        if len(admitted) > 1:
            return _to_choose(house, asked, admitted)
        answer = await _begun(house, admitted[0], f"GET {BACK}", f"{SIGN_IN}/done?in={asked.language}")
    except NotSignedIn as refused:
        answer = _gone_wrong(refused.why, asked.language)
    except NoAnswer as none:
        answer = _gone_wrong(told(none, asked.issuer_id), asked.language)
    except RateLimited:
        answer = _gone_wrong(NotIn.OFTEN, asked.language)
    forget_leg(answer, house)
    return answer


@router.get(f"{SIGN_IN}/done")
async def lead_on(request: Request) -> Response:
    """A page of ours that goes on by itself: what it asks for is asked by this house, and brings the session along."""
    return await page(request, "sign_in_done", _language(request), there=SIGN_IN)


@router.get(f"{SIGN_IN}/not/{{why}}")
async def say_why_not(why: NotIn, request: Request) -> Response:
    """Why somebody is not signed in, and what to do."""
    language = _language(request)
    return await page(
        request,
        "trouble",
        language,
        status=_STATUS[why],
        # Whom another window signed in meanwhile is signed in all the same.
        heading=say("console.elsewhere.in_vain" if why is NotIn.AGAIN else "console.elsewhere.not", language),
        detail=say(f"console.elsewhere.{why}", language),
        minutes=None,
        there=SIGN_IN,
    )


@router.get(_WHICH)
async def ask_which(request: Request) -> Response:
    """For which of several organizations."""
    house = house_of(request)
    held = admitted_in(request, house)
    if held is None:
        return _gone_wrong(NotIn.AGAIN, chosen_language(request))
    async with transaction(house.engine) as tx:
        found = await issuers.admissions(tx, held.issuer_id)
    choices = [each for each in found if each.id in held.admissions]
    return await page(request, "sign_in_which", _language(request), choices=choices)


@router.post(_WHICH)
async def choose(request: Request) -> Response:
    """Begin the session of the organization that was chosen."""
    refuse_strange_origin(request)
    house, form, language = house_of(request), await read_form(request), chosen_language(request)
    held, wanted = admitted_in(request, house), form.uuids("admission")
    if held is None or len(wanted) != 1 or wanted[0] not in held.admissions:
        return _gone_wrong(NotIn.AGAIN, language)
    try:
        await once(house, held.once)
        answer = await _begun(house, await _still_admitted(house, held.issuer_id, wanted[0]), f"POST {_WHICH}")
    except NotSignedIn as refused:
        answer = _gone_wrong(refused.why, language)
    forget_leg(answer, house)
    return answer


async def _still_admitted(house: House, issuer_id: UUID, admission_id: UUID) -> Admission:
    async with transaction(house.engine) as tx:
        found = await issuers.admissions(tx, issuer_id)
    chosen = [each for each in found if each.id == admission_id]
    if not chosen:
        raise NotSignedIn(NotIn.NOBODY)
    return chosen[0]


async def _begun(house: House, admission: Admission, act: str, there: str | None = None) -> Response:
    """The answer that begins the session of an admission, and leads there, or to where its people begin."""
    async with transaction(house.engine) as tx:
        holder = await keys.holder_of(tx, admission.prefix, admission.digest)
        if holder is None:
            raise NotSignedIn(NotIn.NOBODY)
        token = await begin(tx, house, holder, act)
    answer = gone_to(there or home_of(holder.kind, holder.scopes))
    keep_token(answer, token, house.settings)
    return answer


def _to_choose(house: House, asked: Asked, admitted: list[Admission]) -> Response:
    choices = tuple(each.id for each in admitted[:_MOST_ORGANIZATIONS])
    answer = gone_to(f"{_WHICH}?in={asked.language}")
    keep_admitted(answer, house, Admitted(asked.issuer_id, asked.language, choices, secrets.token_urlsafe(16)))
    return answer


def _gone_wrong(why: NotIn, language: str) -> Response:
    return gone_to(f"{SIGN_IN}/not/{why}?in={language}")


def _language(request: Request) -> str:
    """That of the page before, for as long as its reader has not chosen another on this one."""
    told = request.query_params.get("in", "")
    return told if told in LANGUAGES else chosen_language(request)
