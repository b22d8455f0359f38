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
from api.console.what_if_asked import MOST, USUAL_NIGHTS, link_to, offered, read_question
from api.console.what_if_own import own_parties
from api.console.what_if_told import as_told
from api.moments import country
from api.pace import Bucket, Rate
from db import policies
from db.keys import Scope

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
    town = asked.about
    reads = not asked.fewer and Scope.NEEDS_READ in visit.who.scopes
    return await page(
        request,
        "what_if",
        asked=asked,
        again=link_to(asked, asked.town),
        choices=await offered(visit, asked),
        most=MOST,
        usual_km=policy.radius_km,
        usual_nights=USUAL_NIGHTS,
        others=[(f"{link_to(asked, each)}#answer", each) for each in asked.found[1:]],
        first_wishes=FIRST_WISHES,
        more_wishes=MORE_WISHES,
        country=country(town.country, visit.language) if town else "",
        told=await as_told(visit, asked, town) if town else None,
        own=await own_parties(visit, asked, town, policy) if town and reads and asked.by_night else None,
        by_day=reads and not asked.by_night,
    )
