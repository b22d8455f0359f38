"""Signing in with a key, signing out, who else is signed in, leaving in a hurry, and the language.

A key is shown once, in the body of a form, and kept nowhere in the browser: what it holds from then on is worth nothing
after twelve hours, half an hour unused, or one word of its organization.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.beginning import begin, misses
from api.console.cookies import chosen_language, forget, keep_language, keep_token, token_in
from api.console.elsewhere import begun_at, offered
from api.console.forms import read_form
from api.console.legs import forget_leg
from api.console.origins import refuse_strange_origin
from api.console.pages import HOME, SIGN_IN, home_of, page
from api.console.visits import ConsoleRoute, SignedIn, gone_to, idle
from api.front_door import may_ask_for
from api.house import House, house_of
from api.moments import moment
from api.wording import LANGUAGES, say
from db import keys, sessions, towns
from db.connection import transaction
from db.keys import Holder
from web.files import OF_THE_SCAN, is_installed, path_of

__all__ = ["public", "router"]

_LONGEST_KEY: Final = 200
# With what was asked there, as links write it.
_OURS: Final = re.compile(r"/console(/[a-z0-9-]{1,40}){0,4}(\?[A-Za-z0-9_=&%+.-]{1,1000})?")
_EVERYTHING: Final = '"cache", "cookies", "storage"'
_SESSIONS: Final = "/console/sessions"
AFTERWARDS: Final = "/calendar"
"""Where one lands who leaves in a hurry: a page that anybody may have open."""

public = APIRouter(include_in_schema=False)
router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True)
class _Row:
    """A session in the list."""

    id: UUID
    key: str
    began: str
    used: str
    mine: bool


@public.get(SIGN_IN)
async def ask_for_key(request: Request) -> Response:
    """The form for a key; who is signed in goes on."""
    house = house_of(request)
    token = token_in(request, house.settings)
    if token:
        async with transaction(house.engine) as tx:
            session = await sessions.found(tx, token, house.session_hashing, idle(house))
        if session is not None:
            return gone_to(home_of(session.holder.kind, session.holder.scopes))
    return await _asking(request, house)


@public.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Begin a session. What opens nothing is told in the same words, whatever it was."""
    refuse_strange_origin(request)
    house, form = house_of(request), await read_form(request)
    written = "".join(form.fields.get("key", [""])[0][:_LONGEST_KEY].split())
    missed = [misses(house, request)]
    await house.pace.take(missed)
    async with transaction(house.engine) as tx:
        holder = await keys.holder(tx, written, house.key_hashing)
        token = await begin(tx, house, holder, f"POST {SIGN_IN}") if holder is not None else None
    if holder is None or token is None:
        return await _asking(request, house, 401, say("console.sign_in.wrong", chosen_language(request)))
    await house.pace.give_back(missed)
    return _signed_in(house, holder, token)


async def _asking(request: Request, house: House, status: int = 200, notice: str | None = None) -> Response:
    """The form for a key: the one page that may look through the camera, once somebody presses its button."""
    decoder = path_of("decode.js") if is_installed(OF_THE_SCAN) else ""
    elsewhere = await offered(house)
    at = begun_at(request, house)
    answer = await page(request, "sign_in", status=status, notice=notice, decoder=decoder, elsewhere=elsewhere, at=at)
    answer.headers["Permissions-Policy"] = may_ask_for("camera")
    return answer


@public.post("/console/language")
async def choose_language(request: Request) -> Response:
    """Speak another language from now on."""
    refuse_strange_origin(request)
    form = await read_form(request)
    # Longer than what people fill in, and bounded by what it may look like.
    there, language = form.fields.get("there", [""])[0], form.first("language")
    answer = gone_to(there if _OURS.fullmatch(there) else HOME)
    if language in LANGUAGES:
        keep_language(answer, language, house_of(request).settings)
    return answer


@public.post("/console/leave")
async def leave(request: Request) -> Response:
    """End the session, let the browser forget it and all that it kept of ours, and be elsewhere.

    It asks for nothing but the cookie: who leaves in a hurry is not to be told that a form was too old.
    """
    refuse_strange_origin(request)
    house = house_of(request)
    token = token_in(request, house.settings)
    if token:
        async with transaction(house.engine) as tx:
            session = await sessions.found(tx, token, house.session_hashing, idle(house))
            if session is not None:
                await sessions.end(tx, session.id, session.holder.organization_id)
    answer = gone_to(AFTERWARDS)
    answer.headers["Clear-Site-Data"] = _EVERYTHING
    forget(answer, house.settings)
    forget_leg(answer, house)
    return answer


@router.post("/console/sign-out")
async def sign_out(request: Request, visit: SignedIn) -> Response:
    """End this session."""
    await sessions.end(visit.tx, visit.session.id, visit.who.organization_id)
    visit.note(visit.session.id)
    answer = gone_to(SIGN_IN)
    answer.headers["Clear-Site-Data"] = '"cookies", "storage"'
    forget(answer, house_of(request).settings)
    forget_leg(answer, house_of(request))
    return answer


@router.get("/console/sessions")
async def list_sessions(request: Request, visit: SignedIn) -> Response:
    """Who of this organization is signed in."""
    listed = await sessions.of_organization(visit.tx, visit.who.organization_id, idle(visit.house))
    zone = ZoneInfo("UTC")
    for town in sorted(visit.who.towns)[:1]:
        zone = ZoneInfo((await towns.get(visit.tx, town)).timezone)
    rows = [
        _Row(
            each.id,
            f"relais_{each.key_prefix}_…",
            moment(each.made_at, zone, visit.language),
            moment(each.last_used_at, zone, visit.language),
            each.id == visit.session.id,
        )
        for each in listed
    ]
    return await page(request, "sessions", sessions=rows, timezone=zone.key)


@router.post("/console/sessions/others/end")
async def end_other_sessions(request: Request, visit: SignedIn) -> Response:
    """Sign every other browser of this organization out, once it is said for sure."""
    if not visit.form.first("sure"):
        question = "console.sessions.end_others.sure"
        return await page(request, "sure", question=question, card=None, answer={}, back=_SESSIONS)
    ended = await sessions.end_others(visit.tx, visit.session.id, visit.who.organization_id)
    visit.note(*ended)
    return gone_to(_SESSIONS)


@router.post("/console/sessions/{session_id}/end")
async def end_session(session_id: UUID, visit: SignedIn) -> Response:
    """Sign another browser of this organization out, at once."""
    await sessions.end(visit.tx, session_id, visit.who.organization_id)
    visit.note(session_id)
    return gone_to(_SESSIONS if session_id != visit.session.id else SIGN_IN)


def _signed_in(house: House, holder: Holder, token: str) -> Response:
    answer = gone_to(home_of(holder.kind, holder.scopes))
    keep_token(answer, token, house.settings)
    forget_leg(answer, house)
    return answer
