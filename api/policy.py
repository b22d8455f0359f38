"""The policy in force, for everybody to read: the weights and limits that decide who is placed where."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from api.authorization import Anyone
from api.problems import problems
from api.transactions import LateRoute, Tx
from api.wire import Wire
from db import policies
from matching.vocabulary import Urgency

__all__ = ["router"]

router = APIRouter(prefix="/v1/policy", tags=["policy"], route_class=LateRoute)
Count = Annotated[int, Field(ge=0)]
Times = Annotated[float, Field(ge=0)]


class PolicyOut(Wire):
    """Weights and limits; each says its unit in its name."""

    version: Annotated[int, Field(ge=1)]
    radius_km: Annotated[Count, Field(description="How far a place may be, unless the need says nearer.")]
    candidates: Annotated[Count, Field(description="How many of the nearest feasible offers are weighed at once.")]
    load_km: Annotated[Count, Field(description="Kilometres that a full offer costs against an empty one.")]
    price_percent: Annotated[
        Count, Field(description="How much of a place's scarcity price counts for needs that are not vital.")
    ]
    price_most_km: Annotated[Count, Field(description="What scarcity may cost a party at most.")]
    price_hours: Annotated[Count, Field(description="How long a scarcity price counts after a round has set it.")]
    town_load_times: Annotated[
        Times, Field(description="Times the network's people per 1,000 inhabitants up to which a town costs nothing.")
    ]
    town_load_km: Annotated[Count, Field(description="Kilometres for each further time.")]
    town_load_most_km: Annotated[Count, Field(description="What a town's load costs at most.")]
    association_load_times: Annotated[
        Times, Field(description="Times the network's share of places taken up to which an association costs nothing.")
    ]
    association_load_km: Annotated[Count, Field(description="Kilometres for each further time.")]
    association_load_most_km: Annotated[Count, Field(description="What an association's load costs at most.")]
    fair_from_people: Annotated[
        Count, Field(description="With fewer people placed tonight nobody is far above their share.")
    ]
    tentative_seconds: Annotated[
        Count, Field(description="How long at least a hold that is not vital may be improved.")
    ]
    tentative_percent: Annotated[Count, Field(description="Or so much of the time until its need begins, if longer.")]
    tentative_most_minutes: Annotated[Count, Field(description="But never longer than this.")]
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
    refer_after_minutes: Annotated[
        dict[Urgency, Count],
        Field(max_length=len(Urgency), description="How long places at home are tried before pacts are."),
    ]
    refer_ahead_hours: Annotated[Count, Field(description="Whose need begins later is not referred yet.")]
    refer_most_km: Annotated[Count, Field(description="How far a partner town may be, unless the need says.")]
    refer_search_minutes: Annotated[
        Count, Field(description="How long a place is looked for in a partner town before people go home again.")
    ]
    minute_km: Annotated[Times, Field(description="What each minute of the way costs beside its kilometres.")]
    near_times: Annotated[
        Times, Field(description="Kilometres that each one costs beyond what the people called near.")
    ]
    wish_km: Annotated[Count, Field(description="What each thing costs that people wish for and a place has not.")]
    preference_most_km: Annotated[Count, Field(description="What preferences may cost a place at most.")]
    marks_from_parties: Annotated[
        Count, Field(description="From how many parties' marks on they decide between equal places.")
    ]


@router.get("", responses=problems(422, 503))
async def read_policy(_who: Anyone, tx: Tx) -> PolicyOut:
    """The policy in force; every allocation names the version that it was decided under."""
    policy = await policies.in_force(tx)
    return PolicyOut(
        version=policy.version,
        radius_km=policy.radius_km,
        candidates=policy.candidates,
        load_km=policy.load_km,
        price_percent=policy.price_percent,
        price_most_km=policy.price_most_km,
        price_hours=policy.price_hours,
        town_load_times=policy.town_load_times,
        town_load_km=policy.town_load_km,
        town_load_most_km=policy.town_load_most_km,
        association_load_times=policy.association_load_times,
        association_load_km=policy.association_load_km,
        association_load_most_km=policy.association_load_most_km,
        fair_from_people=policy.fair_from_people,
        tentative_seconds=policy.tentative_seconds,
        tentative_percent=policy.tentative_percent,
        tentative_most_minutes=policy.tentative_most_minutes,
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
        refer_after_minutes={urgency: policy.refer_after_minutes[urgency.value] for urgency in Urgency},
        refer_ahead_hours=policy.refer_ahead_hours,
        refer_most_km=policy.refer_most_km,
        refer_search_minutes=policy.refer_search_minutes,
        minute_km=policy.minute_km,
        near_times=policy.near_times,
        wish_km=policy.wish_km,
        preference_most_km=policy.preference_most_km,
        marks_from_parties=policy.marks_from_parties,
    )
