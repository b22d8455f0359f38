"""How this process stands towards the world: whether it has begun to serve, and whether it is about to leave."""

import asyncio
from dataclasses import dataclass, field

__all__ = ["Presence"]


@dataclass(frozen=True)
class Presence:
    """Two moments of a process's life."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once everything that it needs was there."""
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is told to stop: it is not ready any more, and answers that do not end by themselves end."""
