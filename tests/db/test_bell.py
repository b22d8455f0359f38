"""The bell ends when it is told to, whatever it was doing."""

import asyncio

from db.bell import Bell
from db.settings import Settings


async def test_cancelled_at_any_moment_of_a_ring_it_ends(settings: Settings) -> None:
    for moment in range(200):
        bell = Bell(settings)
        ringing = asyncio.create_task(bell.run())
        bell.work()
        # Turns of the loop, not time: some of them are those in which an answer has just come.
        for _ in range(moment):
            await asyncio.sleep(0)
        ringing.cancel()
        _, goes_on = await asyncio.wait([ringing], timeout=5)
        assert not goes_on, f"it goes on after {moment} turns"
