"""Waiting for what another process does: by looking, with a limit, never by sleeping for luck."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

__all__ = ["eventually"]

Seen = TypeVar("Seen")


async def eventually(look: Callable[[], Awaitable[Seen | None]], what: str, seconds: float = 60) -> Seen:
    """Look until something is seen; fails in words when it is not within the time."""
    end = monotonic() + seconds
    while True:
        seen = await look()
        if seen:
            return seen
        assert monotonic() < end, f"not seen within {seconds} s: {what}"
        await asyncio.sleep(0.02)
