"""The policy in force, for everybody to read: the weights and limits that decide who is placed where."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from api.authorization import Anyone
from api.problems import problems
from api.transactions import TransactionalRoute, Tx
from api.wire import Wire
from db import policies
from matching.vocabulary import Urgency

__all__ = ["router"]

router = APIRouter(prefix="/v1/policy", tags=["policy"], route_class=TransactionalRoute)
Count = Annotated[int, Field(ge=0)]


class PolicyOut(Wire):
    """Weights and limits; each says its unit in its name."""

    version: Annotated[int, Field(ge=1)]
    radius_km: Annotated[Count, Field(description="How far a place may be, unless the need says nearer.")]
    candidates: Annotated[Count, Field(description="How many of the nearest feasible offers are weighed at once.")]
    load_km: Annotated[Count, Field(description="Kilometres that a full offer costs against an empty one.")]
    tentative_seconds: Annotated[Count, Field(description="How long a hold that is not vital may be improved.")]
    answer_minutes: Annotated[
        dict[Urgency, Count],
        Field(max_length=len(Urgency), description="How long a need may wait before it is recorded as unmet."),
    ]
    ask_again_minutes: Annotated[Count, Field(description="How long an offer that did not answer is left alone.")]
    round_seconds: Annotated[Count, Field(description="How often all who wait for nights are decided together.")]
    round_needs: Annotated[Count, Field(description="How many needs one round takes at most.")]
    round_candidates: Annotated[Count, Field(description="How many offers a round weighs for each need.")]
    round_solve_seconds: Annotated[float, Field(ge=0, description="How long a round may think.")]
    move_most_km: Annotated[
        Count, Field(description="How much farther a tentative party may be sent to make room for others.")
    ]
    move_gain_km: Annotated[
        Count, Field(description="Kilometres that a tentative party must be spared to be moved for its own sake.")
    ]
    verify_after_days: Annotated[Count, Field(description="When a provider is asked whether an offer is still true.")]
    stale_after_days: Annotated[Count, Field(description="When an offer is no longer proposed.")]


@router.get("", responses=problems(422, 503))
async def read_policy(_who: Anyone, tx: Tx) -> PolicyOut:
    """The policy in force; every allocation names the version that it was decided under."""
    policy = await policies.in_force(tx)
    return PolicyOut(
        version=policy.version,
        radius_km=policy.radius_km,
        candidates=policy.candidates,
        load_km=policy.load_km,
        tentative_seconds=policy.tentative_seconds,
        answer_minutes={urgency: policy.answer_minutes[urgency.value] for urgency in Urgency},
        ask_again_minutes=policy.ask_again_minutes,
        round_seconds=policy.round_seconds,
        round_needs=policy.round_needs,
        round_candidates=policy.round_candidates,
        round_solve_seconds=policy.round_solve_seconds,
        move_most_km=policy.move_most_km,
        move_gain_km=policy.move_gain_km,
        verify_after_days=policy.verify_after_days,
        stale_after_days=policy.stale_after_days,
    )
