"""A queue at the door: many parties in one town for one night, all posted or none."""

from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Request, Response

from api.console.asking import Asked, read_choices
from api.console.posting import MOST_SLIPS, asking_form, post
from api.console.visits import ConsoleRoute, Posts, gone_to
from matching.refusals import Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_ROWS: Final = 6


@router.get("/console/needs/queue")
async def ask_for_queue(request: Request, visit: Posts) -> Response:
    """Empty rows for the first parties."""
    return await asking_form(request, await read_choices(visit), _with_rows(Asked(), _ROWS), name="queue")


@router.post("/console/needs/queue")
async def post_queue(request: Request, visit: Posts) -> Response:
    """Post a need for each row with people in it, and show their slips; or ask for more rows or another town."""
    choices, asked = await read_choices(visit), Asked.of(visit.form)
    rows = max(len(visit.form.every("adults")), _ROWS)
    if visit.form.first("more") or visit.form.seeks:
        more = rows + _ROWS if visit.form.first("more") else rows
        return await asking_form(request, choices, _with_rows(asked, min(more, MOST_SLIPS)), name="queue")
    try:
        terms = asked.queue(choices)
        if not terms:
            raise Invalid.one("/people", "nobody")
        return gone_to(await post(visit, terms[:MOST_SLIPS]))
    except Invalid as invalid:
        return await asking_form(request, choices, _with_rows(asked, rows), invalid, "queue")


def _with_rows(asked: Asked, rows: int) -> Asked:
    return replace(asked, counts=(*asked.counts, *[(0, 0)] * (rows - len(asked.counts))))
