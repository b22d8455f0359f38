"""A form that changes what is there: done once and whole, or what stands in the way is said and it is asked again."""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from fastapi import Response

from api.console.checking import Flawed, flawed
from api.console.visits import Visit, gone_to
from api.problems import STATUS, told
from api.wording import say
from matching.refusals import CannotKeepPlace, CapacityInUse, Conflict, Invalid, StaleVersion

__all__ = ["revise", "unchanged_since"]

_MEANWHILE: Final = "console.night.changed"
_IN_USE: Final = "console.change.in_use"


Asks = Callable[[int, Flawed], Awaitable[Response]]
"""Shows the form with this status, and what was wrong with it."""


async def revise(
    visit: Visit,
    object_id: UUID,
    act: Callable[[], Awaitable[str]],
    ask: Asks,
    afresh: Asks,
    meanwhile: str = _MEANWHILE,
    in_use: str = _IN_USE,
) -> Response:
    """Go where the act says; `ask` shows what was said again, `afresh` how it stands now that somebody changed it.

    `meanwhile` and `in_use` are the sentences for that, and for people who have a place in what would go.
    """

    async def noted() -> str:
        # What is refused after something was written is undone here, and its page is shown in the same transaction.
        async with visit.tx.begin_nested():
            there = await act()
        visit.note(object_id)
        visit.ring()
        return there

    try:
        return gone_to(await visit.once(noted))
    except Invalid as invalid:
        return await ask(STATUS[invalid.slug], flawed(invalid.flaws, visit.language))
    except StaleVersion as refusal:
        return await afresh(STATUS[refusal.slug], {"": [say(meanwhile, visit.language)]})
    except CapacityInUse as refusal:
        count = len(refusal.allocations)
        return await ask(STATUS[refusal.slug], {"": [say(in_use, visit.language, count=count)]})
    except (CannotKeepPlace, Conflict) as refusal:
        return await ask(STATUS[refusal.slug], {"": [told(refusal, visit.language)[0].detail]})


def unchanged_since(visit: Visit, version: int) -> int:
    """The version that the page showed, which is still this one. Raises `StaleVersion`."""
    if visit.form.whole("version") != version:
        raise StaleVersion(version)
    return version
