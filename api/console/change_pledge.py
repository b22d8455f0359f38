"""Changing a pledge: how many volunteers may be counted on, how far they go, and how often at most.

Never to less than what shifts need that are planned with them: these are declined first. A pledge that was ended may be
counted on again.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response

from api.console.checking import Flawed, changed
from api.console.forms import Form
from api.console.pages import VOLUNTEERS, page
from api.console.revising import revise, unchanged_since
from api.console.visits import ConsoleRoute, Visit, WritesHouses
from api.moments import skill_name
from api.pledges import PledgePatch
from db import pledges, towns
from db.pledges import PledgeFacts
from matching import bounds
from matching.states import PledgeState

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_NAMES: Final = ("headcount", "radius_km", "shifts_per_week_max")


@dataclass(frozen=True, slots=True)
class _Said:
    """What may change of a pledge, as its form has it."""

    headcount: int | None
    radius_km: int | None
    shifts_per_week_max: int | None
    again: bool = False
    """Whether one that was ended is to be counted on again."""

    @classmethod
    def of_pledge(cls, pledge: PledgeFacts) -> "_Said":
        terms = pledge.terms
        return cls(terms.headcount, terms.radius_km, terms.shifts_per_week_max)

    @classmethod
    def of_form(cls, form: Form) -> "_Said":
        headcount, radius_km, weekly = map(form.whole, _NAMES)
        return cls(headcount, radius_km, weekly, bool(form.first("again")))

    def changes(self, pledge: PledgeFacts) -> dict[str, object]:
        """What this says otherwise than the pledge is."""
        said = {name: getattr(self, name) for name in _NAMES}
        changes = {name: value for name, value in said.items() if value != getattr(pledge.terms, name)}
        if self.again and pledge.state is PledgeState.CLOSED:
            changes["state"] = PledgeState.OPEN
        return changes


@router.get("/console/pledges/{pledge_id}/change")
async def ask_for_change(pledge_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """The form, as the pledge stands."""
    pledge = await pledges.read(visit.tx, pledge_id, visit.who.organization_id)
    return await _asked(request, visit, pledge, _Said.of_pledge(pledge))


@router.post("/console/pledges/{pledge_id}/change")
async def change_pledge(pledge_id: UUID, request: Request, visit: WritesHouses) -> Response:
    """Change it, and go to the volunteers; or say what stands in the way, and ask again."""
    own = visit.who.organization_id
    pledge, said = await pledges.read(visit.tx, pledge_id, own), _Said.of_form(visit.form)

    async def act() -> str:
        version = unchanged_since(visit, pledge.version)
        patch = changed(PledgePatch, said.changes(pledge))
        await pledges.change(visit.tx, pledge_id, own, version, patch.limits())
        return VOLUNTEERS

    async def afresh(status: int, wrong: Flawed) -> Response:
        now = await pledges.read(visit.tx, pledge_id, own)
        return await _asked(request, visit, now, _Said.of_pledge(now), status, wrong)

    return await revise(visit, pledge_id, act, partial(_asked, request, visit, pledge, said), afresh)


async def _asked(
    request: Request, visit: Visit, pledge: PledgeFacts, said: _Said, status: int = 200, wrong: Flawed | None = None
) -> Response:
    town = await towns.get(visit.tx, pledge.terms.town_id)
    return await page(
        request,
        "change_pledge",
        status=status,
        title=skill_name(pledge.terms.skill, visit.language),
        town=town.name,
        version=pledge.version,
        ended=pledge.state is PledgeState.CLOSED,
        form=uuid4().hex,
        asked=said,
        flawed=wrong or {},
        bounds=bounds,
    )
