"""The page of the slip, for telephones without scripts: a form for the code, and what stands behind it.

Code and language travel in the body of a form alone: they stand in no address, no history and no log. Nothing of what
was written is shown again unless it opened something.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.house import House, house_of
from api.moments import own_name
from api.problems import RateLimited
from api.settings import ApiSettings
from api.slip import RIGHT_TO_LEFT
from api.slip_desk import with_code
from api.slip_preferences import leave_by_in, said_in
from api.slip_shown import houses_in, id_in, number_in, plan_shown, slip_shown
from api.wording import SLIP_LANGUAGES, language_of, say
from db import feedback, own_slip, project_answers, project_slips
from db.own_slip import Slip
from db.project_slips import PlanFacts
from db.slips import code_in, grouped
from matching.projects import MOST_PARTIES, ProjectState
from matching.refusals import CannotKeepPlace, Conflict, Invalid, NoLongerHeld, NotFound
from matching.vocabulary import FeedbackWord, RefuseReason, Wish
from web.pages import policy_of, render

__all__ = ["router"]

_PAGE: Final = "slip"
_MOST_FIELDS: Final = 40 + MOST_PARTIES
_ENDING: Final = [reason for reason in RefuseReason if reason.ends_the_need]
_GOING_ON: Final = [reason for reason in RefuseReason if not reason.ends_the_need]
Act = Callable[[AsyncConnection, bytes], Awaitable[None]]


@dataclass(frozen=True)
class _Form:
    """What was sent with a page's form."""

    fields: Mapping[str, list[str]]
    language: str

    @property
    def code(self) -> str:
        return self.first("code")

    def first(self, name: str) -> str:
        return self.fields.get(name, [""])[0]


@dataclass(frozen=True)
class _Seen:
    """What stands behind a code: the slip, and the plan of its project while that waits for an answer."""

    slip: Slip
    plan: PlanFacts | None


def router(settings: ApiSettings) -> APIRouter:
    """The routes of the page; it is no part of the API's document."""
    made = APIRouter(include_in_schema=False)
    leave = settings.leave_url

    @made.get("/slip")
    async def ask_for_code(request: Request) -> Response:
        """The form, in the language that the browser asks for."""
        return _page(leave, language_of(request.headers.get("accept-language"), SLIP_LANGUAGES))

    @made.post("/slip")
    async def show_slip(request: Request) -> Response:
        """What stands behind the code; the form again where there is none, as after a change of language."""
        form = await _read(request)
        return await _answer(request, leave, form) if form.code else _page(leave, form.language)

    @made.post("/slip/refuse")
    async def refuse_place(request: Request) -> Response:
        """Refuse a place, or end the search."""
        form = await _read(request)
        reason, place = form.first("reason"), id_in(form.first("place"))
        if reason not in list(RefuseReason) or (place is None and reason not in _ENDING):
            return await _answer(request, leave, form)

        async def act(tx: AsyncConnection, slip: bytes) -> None:
            await own_slip.refuse(tx, slip, place, RefuseReason(reason))

        answer = await _answer(request, leave, form, act, "slip.refuse.done")
        house_of(request).bell.work()
        return answer

    @made.post("/slip/feedback")
    async def give_feedback(request: Request) -> Response:
        """Tell how it was."""
        form = await _read(request)
        rating = form.first("rating")
        words = [FeedbackWord(word) for word in form.fields.get("words", []) if word in list(FeedbackWord)]
        if rating not in ("1", "2", "3", "4", "5"):
            return await _answer(request, leave, form)

        async def act(tx: AsyncConnection, slip: bytes) -> None:
            await feedback.give_feedback(tx, slip, int(rating), words)

        return await _answer(request, leave, form, act, "slip.tell.done")

    _let_people_prefer(made, leave)
    _let_people_answer(made, leave)
    return made


def _let_people_prefer(made: APIRouter, leave: str) -> None:
    @made.post("/slip/preferences")
    async def say_preferences(request: Request) -> Response:
        """Say how they would be placed."""
        form = await _read(request)
        said, leave_by = said_in(form.fields), leave_by_in(form.fields)

        async def act(tx: AsyncConnection, slip: bytes) -> None:
            await own_slip.prefer(tx, slip, said, leave_by)

        answer = await _answer(request, leave, form, act, "slip.prefer.done")
        house_of(request).bell.work()
        return answer


def _let_people_answer(made: APIRouter, leave: str) -> None:
    @made.post("/slip/plan/accept")
    async def accept_plan(request: Request) -> Response:
        """Say yes to the plan that was shown."""
        form = await _read(request)
        number = number_in(form.fields)
        if number is None:
            return await _answer(request, leave, form)

        async def act(tx: AsyncConnection, slip: bytes) -> None:
            await project_answers.accept(tx, (await project_slips.find(tx, slip)).id, number)

        return await _answer(request, leave, form, act, "slip.refuse.done")

    @made.post("/slip/plan/refuse")
    async def refuse_plan(request: Request) -> Response:
        """Say no to the plan that was shown, or to some of its houses."""
        form = await _read(request)
        number, reason = number_in(form.fields), form.first("reason")
        if number is None or reason not in _GOING_ON:
            return await _answer(request, leave, form)

        async def act(tx: AsyncConnection, slip: bytes) -> None:
            project_id = (await project_slips.find(tx, slip)).id
            await project_answers.refuse(tx, project_id, RefuseReason(reason), houses_in(form.fields), number)

        answer = await _answer(request, leave, form, act, "slip.refuse.done")
        house_of(request).bell.work()
        return answer


async def _read(request: Request) -> _Form:
    """The fields of the form; what is none counts as an empty one."""
    accepted = language_of(request.headers.get("accept-language"), SLIP_LANGUAGES)
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return _Form({}, accepted)
    chosen = fields.get("language", [""])[0]
    return _Form(fields, chosen if chosen in SLIP_LANGUAGES else accepted)


async def _answer(
    request: Request, leave: str, form: _Form, act: Act | None = None, done: str | None = None
) -> Response:
    """Act, and show how things stand then; where they do not allow it, show how they stand anyway."""
    house = house_of(request)
    try:
        seen = await _see(house, request, form.code, act)
    except (Conflict, NoLongerHeld, CannotKeepPlace):
        return await _answer_with(request, leave, form, "slip.changed", 409)
    except Invalid:
        return await _answer_with(request, leave, form, "slip.prefer.refused", 422)
    except (NotFound, RateLimited, SQLAlchemyError, OSError) as error:
        return _refused(leave, form.language, error)
    notice = say(done, form.language) if done else None
    return _page(leave, form.language, seen=seen, code=form.code, notice=notice)


async def _answer_with(request: Request, leave: str, form: _Form, notice: str, status: int) -> Response:
    try:
        seen = await _see(house_of(request), request, form.code, None)
    except (NotFound, RateLimited, SQLAlchemyError, OSError) as error:
        return _refused(leave, form.language, error)
    return _page(leave, form.language, seen=seen, code=form.code, notice=say(notice, form.language), status=status)


async def _see(house: House, request: Request, code: str, act: Act | None) -> _Seen:
    async def acted(tx: AsyncConnection, slip: bytes) -> _Seen:
        if act is not None:
            await act(tx, slip)
        shown = await own_slip.read(tx, slip, house.vault)
        waits = shown.project is ProjectState.PROPOSED
        return _Seen(shown, await project_slips.read(tx, slip) if waits else None)

    return await with_code(house, request, code, acted)


def _refused(leave: str, language: str, error: Exception) -> Response:
    match error:
        case NotFound():
            return _page(leave, language, notice=say("slip.not_found", language), status=404)
        case RateLimited():
            minutes = -(-error.seconds // 60)
            page = _page(leave, language, notice=say("slip.limited", language, minutes=minutes), status=429)
            page.headers["Retry-After"] = str(error.seconds)
            return page
    return _page(leave, language, notice=say("slip.away", language), status=503)


def _page(
    leave: str,
    language: str,
    *,
    seen: _Seen | None = None,
    code: str = "",
    notice: str | None = None,
    status: int = 200,
) -> Response:
    written = render(
        _PAGE,
        say=lambda key, **facts: say(key, language, **facts),
        language=language,
        direction="rtl" if language in RIGHT_TO_LEFT else "ltr",
        languages=[(tag, own_name(tag)) for tag in SLIP_LANGUAGES],
        leave_url=leave,
        notice=notice,
        slip=slip_shown(seen.slip, language) if seen else None,
        plan=plan_shown(seen.plan, seen.slip, language) if seen and seen.plan else None,
        code=grouped(code_in(code)) if seen else "",
        reasons=list(RefuseReason),
        going_on_reasons=_GOING_ON,
        ending_reasons=_ENDING,
        words=list(FeedbackWord),
        wishes=list(Wish),
    )
    headers = {"Content-Security-Policy": policy_of(_PAGE), "Content-Language": language, "Vary": "Accept-Language"}
    return Response(written, status, headers, "text/html")
