"""What if there were so many more places here, or fewer? A page for planners, of two parts that share nothing.

What was published (`api.console.what_if_told`), which anybody may read; and the organization's own parties
(`api.console.what_if_own`). What others ask or give tonight is in neither: of two answers to nearly the same question
somebody could read in a village how many wait there. Nothing is written and nobody is moved.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from api.console.asking import FIRST_WISHES, MORE_WISHES
from api.console.pages import WHAT_IF, page
from api.console.visits import ConsoleRoute, SignedIn
from api.console.what_if_asked import MOST, offered, read_question, usual_km
from api.console.what_if_own import own_parties
from api.console.what_if_told import as_told
from api.pace import Bucket, Rate
from db import policies
from db.keys import Scope
from matching.vocabulary import Coverage

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_PACE: Final = Rate(60, 60)
_PACE_OF_ALL: Final = Rate(300, 60)


@router.get(WHAT_IF)
async def show_what_if(request: Request, visit: SignedIn) -> Response:
    """The question, and what there is to answer."""
    await visit.house.pace.take([Bucket(f"what-if:{visit.who.prefix}", _PACE), Bucket("what-ifs", _PACE_OF_ALL)])
    policy = await policies.in_force(visit.tx)
    asked = await read_question(request, visit, policy)
    reads = asked.town is not None and not asked.fewer and Scope.NEEDS_READ in visit.who.scopes
    by_night = asked.coverage is Coverage.EVERY
    return await page(
        request,
        "what_if",
        asked=asked,
        choices=await offered(visit, asked),
        most=MOST,
        usual_km=usual_km(policy),
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        told=await as_told(visit, asked, asked.town) if asked.town else None,
        own=await own_parties(visit, asked, asked.town, policy) if asked.town and reads and by_night else None,
        by_day=reads and not by_night,
    )
