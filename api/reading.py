"""A route whose body is strict JSON, read whole before anything is done; its flaw is told once the caller is known."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.bodies import Incoming
from matching.refusals import Invalid

__all__ = ["Handler", "StrictRoute"]

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that reads its body as `Incoming` does."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own handler, with the body read strictly."""
        act = super().get_route_handler()
        takes_body = self.body_field is not None
        needs_body = self.body_field is not None and self.body_field.field_info.is_required()

        async def handle(request: Request) -> Response:
            incoming = Incoming(request.scope, request.receive)
            # Read whole before a connection is taken: a slow sender holds none.
            await incoming.read()
            looked_at = needs_body or (takes_body and incoming.raw != b"")
            return await self.answered(incoming, lambda asked: _act(asked, act, takes_body=looked_at))

        return handle

    async def answered(self, request: Incoming, act: Callable[[Incoming], Coroutine[Any, Any, Response]]) -> Response:
        """The answer of the route's act."""
        return await act(request)


async def _act(request: Incoming, act: Handler, *, takes_body: bool) -> Response:
    flaw = request.flaw if takes_body else None
    try:
        response = await act(request)
    except RequestValidationError:
        if flaw is not None:
            raise Invalid((flaw,)) from None
        raise
    if flaw is not None:
        raise Invalid((flaw,))
    return response
