"""The largest body that is read, and the longest that it may take: decided before anything is parsed.

Both hold also when no length was announced, and however slowly it comes.
"""

import asyncio
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import TooLarge, TooSlow, answer

__all__ = ["BodyLimit"]


class BodyLimit:
    """Refuses bodies over `most` bytes with 413, and those that are not there after `seconds` with 408."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, counting what is read of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > self._most:
            await answer(Request(scope), TooLarge(self._most))(scope, receive, send)
            return
        read, end, complete = 0, monotonic() + self._seconds, False

        async def counted() -> Message:
            nonlocal read, complete
            if complete:
                return await receive()  # what comes after the body is that the client hung up, whenever that is
            try:
                async with asyncio.timeout(end - monotonic()):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            complete = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > self._most:
                raise TooLarge(self._most)
            return message

        await self._app(scope, counted, send)
