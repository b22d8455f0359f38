"""How a page of the console is made: its words, its frame, the headers that it goes with, and refusals as pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from api.console.cookies import chosen_language, forget, token_in
from api.console.origins import Forged
from api.console.visits import NETWORK_SCOPES, SignedOut, Visit, gone_to, visit_of
from api.house import house_of
from api.moments import own_name
from api.problems import RateLimited, told
from api.slip import RIGHT_TO_LEFT
from api.wording import LANGUAGES, knows, say
from db import organizations
from db.keys import Scope
from matching.refusals import CannotRefer, Conflict, Refusal
from matching.vocabulary import OrganizationKind
from web.files import POLICY, path_of
from web.pages import fill

__all__ = [
    "FIGURES",
    "HOME",
    "HOUSES",
    "NETWORK",
    "NOTIFICATIONS",
    "PACTS",
    "SIGN_IN",
    "TONIGHT",
    "VOLUNTEERS",
    "WHAT_IF",
    "has_houses",
    "home_of",
    "is_of_the_console",
    "page",
    "refused",
]

HOME: Final = "/console"
SIGN_IN: Final = "/console/sign-in"
TONIGHT: Final = "/console/tonight"
PACTS: Final = "/console/pacts"
NETWORK: Final = "/console/network"
FIGURES: Final = "/console/figures"
WHAT_IF: Final = "/console/what-if"
HOUSES: Final = "/console/houses"
VOLUNTEERS: Final = "/console/volunteers"
NOTIFICATIONS: Final = "/console/notifications"
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    # Without its origin a browser would not say that a form is ours; other sites are told nothing all the same.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie",
}


@dataclass(frozen=True, slots=True)
class _Way:
    """An entry of the navigation."""

    path: str
    words: str
    here: bool


def is_of_the_console(request: Request) -> bool:
    """Whether people read what is answered, and not programs."""
    path = request.url.path
    return path == HOME or path.startswith(f"{HOME}/")


def home_of(visit_kind: OrganizationKind, scopes: frozenset[Scope]) -> str:
    """Where somebody begins: who posts needs at the board, who has houses at what waits for an answer."""
    posts = visit_kind is OrganizationKind.COORDINATION and Scope.NEEDS_READ in scopes
    if Scope.ALLOCATIONS_READ in scopes and not posts:
        return TONIGHT
    if Scope.NEEDS_READ in scopes:
        return HOME
    if Scope.PACTS_READ in scopes:
        return PACTS
    return HOUSES if _gives(visit_kind, scopes) else HOME


def has_houses(kind: OrganizationKind, scopes: frozenset[Scope]) -> bool:
    """Whether what waits for an answer at houses is a page that is looked at with such a key."""
    return kind is not OrganizationKind.COORDINATION and Scope.ALLOCATIONS_READ in scopes


async def page(
    request: Request, name: str, language: str | None = None, /, *, status: int = 200, **facts: object
) -> Response:
    """The page of a template in the frame of the console, for who is signed in or not, in their language or this.

    Who chooses another language comes back to `again`, where it is among the facts, or else to the path alone.
    """
    visit, language = visit_of(request), language or chosen_language(request)
    own = await organizations.read(visit.tx, visit.who.organization_id) if visit else None
    return _written(request, name, status, {"organization": own.name if own else None, **facts}, visit, language)


def refused(request: Request, refusal: Refusal) -> Response:
    """What a refusal looks like: where to sign in, or what was not done and why."""
    if isinstance(refusal, SignedOut):
        answer, settings = gone_to(SIGN_IN), house_of(request).settings
        # Who comes by a link of somebody else's, such as a mail's, brings no cookie and still has a session.
        if token_in(request, settings):
            forget(answer, settings)
        return answer
    language = chosen_language(request)
    problem, headers = told(refusal, language)
    forged = isinstance(refusal, Forged)
    facts = {
        "organization": None,
        "heading": say("console.forged.title", language) if forged else problem.title,
        "detail": say("console.forged", language) if forged else _in_words(refusal, language) or problem.detail,
        "minutes": -(-refusal.seconds // 60) if isinstance(refusal, RateLimited) else None,
    }
    answer = _written(request, "trouble", problem.status, facts, None, language)
    answer.headers.update({name: value for name, value in headers.items() if name in ("Retry-After", "Connection")})
    return answer


def _in_words(refusal: Refusal, language: str) -> str:
    """What programs read out of the facts of an answer, where people are told it in a sentence of its own."""
    match refusal:
        case CannotRefer(rule="none"):
            keys = ["console.refer.none"]
        case CannotRefer(rule=rule):
            keys = [f"console.refer.{rule}", "console.refer.each"]
        case Conflict(reason=reason, state=state):
            keys = [f"console.{reason}.{state}"]
        case _:
            keys = []
    return " ".join(say(key, language) for key in keys if knows(key))


def _written(
    request: Request, name: str, status: int, facts: Mapping[str, object], visit: Visit | None, language: str
) -> Response:
    written = fill(
        f"console/{name}",
        say=lambda key, **values: say(key, language, **values),
        language=language,
        direction="rtl" if language in RIGHT_TO_LEFT else "ltr",
        languages=[(tag, own_name(tag)) for tag in LANGUAGES],
        style=path_of("console.css"),
        script=path_of("console.js"),
        keeping=path_of("kept.js"),
        picture=path_of("console.svg"),
        file=path_of,
        token=visit.form_token if visit else "",
        whose=visit.whose if visit else "",
        ways=_ways(visit, request.url.path) if visit else [],
        here=request.url.path,
        notifies=visit is not None and Scope.NOTIFICATIONS_WRITE in visit.who.scopes,
        home=home_of(visit.who.kind, visit.who.scopes) if visit else HOME,
        **{"again": request.url.path, **facts},
    )
    return Response(written, status, {**_HEADERS, "Content-Language": language}, "text/html")


def _ways(visit: Visit, here: str) -> list[_Way]:
    scopes, kind = visit.who.scopes, visit.who.kind
    offered = [
        (HOME, "console.nav.board", Scope.NEEDS_READ in scopes),
        (f"{HOME}/needs/new", "console.nav.new", Scope.NEEDS_WRITE in scopes),
        (f"{HOME}/needs/queue", "console.nav.queue", Scope.NEEDS_WRITE in scopes),
        (TONIGHT, "console.nav.tonight", has_houses(kind, scopes)),
        (HOUSES, "console.nav.houses", _gives(kind, scopes)),
        (VOLUNTEERS, "console.nav.volunteers", _gives(kind, scopes)),
        (PACTS, "console.nav.pacts", Scope.PACTS_READ in scopes and kind is not OrganizationKind.ASSOCIATION),
        (NETWORK, "console.nav.network", bool(NETWORK_SCOPES & scopes)),
        (FIGURES, "console.nav.figures", True),
    ]
    return [_Way(path, words, path == here) for path, words, open_to in offered if open_to]


def _gives(kind: OrganizationKind, scopes: frozenset[Scope]) -> bool:
    return kind is not OrganizationKind.COORDINATION and Scope.OFFERS_READ in scopes
