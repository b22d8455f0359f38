"""What every request passes on its way in and out: a number, a log line, a count, and the headers all answers carry.

Nothing that breaks inside gets past here: the caller reads a problem document, the log the kind of the error.
"""

import re
import secrets
from time import perf_counter
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.metrics import Metrics
from api.presence import Presence
from api.problems import Unavailable, answer

__all__ = ["FrontDoor", "may_ask_for"]

_OF_DEVICES: Final = ("camera", "geolocation", "microphone", "payment")


def may_ask_for(*wanted: str) -> str:
    """The policy (`Permissions-Policy`) of a page that may ask for these of a device, once its people say so."""
    return ", ".join(f"{each}=({'self' if each in wanted else ''})" for each in _OF_DEVICES)


_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": may_ask_for(),
    "X-Frame-Options": "DENY",
}
_OVER_TLS: Final = {"Strict-Transport-Security": "max-age=63072000"}
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_HUNG_UP: Final = 499
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_log = structlog.get_logger()


class FrontDoor:
    """The outermost layer of the service."""

    def __init__(self, app: ASGIApp, metrics: Metrics, presence: Presence, *, behind_tls: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._presence = presence
        self._headers = {**_HEADERS, **(_OVER_TLS if behind_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, and its answer out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, request_id, status, broken = perf_counter(), _id_of(scope), 0, None

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Request-Id"] = request_id
                if self._presence.leaving.is_set():
                    # Whoever keeps the connection for another request takes the next one elsewhere.
                    headers["Connection"] = "close"
            await send(message)

        try:
            with bound_contextvars(request_id=request_id):
                await self._app(scope, receive, send_dressed)
        except ClientDisconnect:
            status = status or _HUNG_UP
        except Exception as error:  # noqa: BLE001 - nothing of it may reach the caller, or the log of the server
            broken = type(error).__name__
            if not status:
                await answer(Request(scope), Unavailable(broken=True))(scope, receive, send_dressed)
        finally:
            self._note(scope, request_id, status or _HUNG_UP, perf_counter() - began, broken)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float, broken: str | None) -> None:
        route = _template(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.answered(route, method, status, seconds)
        organization_id = scope.get("state", {}).get("organization_id")
        facts = {"organization_id": str(organization_id)} if organization_id else {}
        if broken:
            facts["exception"] = broken
        _log.log(
            40 if broken else 20,
            "request.answered",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            **facts,
        )


def _id_of(scope: Scope) -> str:
    """The number that a proxy gave it, else one of ours.

    Only forms of which nobody makes a word, a name or a telephone number: what stands in a log is about no person.
    """
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _template(scope: Scope) -> str:
    """The route as it is documented, such as `/v1/needs/{need_id}`."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) if isinstance(route, BaseRoute) else None
    return path if isinstance(path, str) else "none"
