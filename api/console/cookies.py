"""The two cookies of the console: what shows a session, and the language that was chosen.

The first is of the session alone: gone with the browser's window, unreadable to scripts, and sent by our own pages
only. Over TLS it carries the prefix that no neighbour of the host can set (`__Host-`), which asks for the path `/`.
"""

from typing import Final

from fastapi import Request, Response

from api.settings import ApiSettings
from api.wording import LANGUAGES, language_of

__all__ = ["chosen_language", "forget", "keep_language", "keep_token", "token_in"]

_PATH: Final = "/console"
_LANGUAGE: Final = "relais-language"
_YEAR: Final = 31_536_000


def token_in(request: Request, settings: ApiSettings) -> str | None:
    """The token of a session."""
    return request.cookies.get(_name(settings))


def keep_token(response: Response, token: str, settings: ApiSettings) -> None:
    """Let the browser hold it."""
    response.set_cookie(
        _name(settings),
        token,
        path=_path(settings),
        secure=settings.behind_tls,
        httponly=True,
        samesite="strict",
    )


def forget(response: Response, settings: ApiSettings) -> None:
    """Let the browser forget it."""
    response.delete_cookie(
        _name(settings), path=_path(settings), secure=settings.behind_tls, httponly=True, samesite="strict"
    )


def keep_language(response: Response, language: str, settings: ApiSettings) -> None:
    """Let the browser hold which language its reader chose."""
    response.set_cookie(
        _LANGUAGE,
        language,
        max_age=_YEAR,
        path=_PATH,
        secure=settings.behind_tls,
        httponly=True,
        samesite="strict",
    )


def chosen_language(request: Request) -> str:
    """The language that was chosen, else the one that the browser asks for."""
    chosen = request.cookies.get(_LANGUAGE)
    return chosen if chosen in LANGUAGES else language_of(request.headers.get("accept-language"))


def _name(settings: ApiSettings) -> str:
    return "__Host-relais-session" if settings.behind_tls else "relais-session"


def _path(settings: ApiSettings) -> str:
    return "/" if settings.behind_tls else _PATH
