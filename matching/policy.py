"""The published policy: every weight and limit of the matching, versioned.

Each allocation carries the version it was decided under, so that a decision can be checked against the rules
that were in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from matching.vocabulary import Urgency

__all__ = ["FIRST_POLICY", "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights and limits; durations say their unit in the name."""

    version: int
    radius_km: int
    """How far a place may be unless the need says nearer."""
    candidates: int
    """How many of the nearest feasible offers are weighed for one need."""
    load_km: int
    """Kilometres that a full offer costs against an empty one: load is spread before it fills one house."""
    price_percent: int
    """How much of a place's scarcity price, as the last round left it, counts at once for needs that are not vital."""
    price_most_km: int
    """What scarcity may cost a party at most, in kilometres, all its nights together."""
    price_hours: int
    """How long a scarcity price counts after a round has set it."""
    town_load_times: float
    """Up to so many times the network's people per 1,000 inhabitants tonight, a town's load costs nothing."""
    town_load_km: int
    """Kilometres for each further time that a town is above the mean."""
    town_load_most_km: int
    """What a town's load costs at most."""
    association_load_times: float
    """Up to so many times the network's share of places taken tonight, an association's load costs nothing."""
    association_load_km: int
    """Kilometres for each further time that an association's share is above the network's."""
    association_load_most_km: int
    """What an association's load costs at most."""
    fair_from_people: int
    """With fewer people placed tonight a town or an association is never far above its share."""
    tentative_seconds: int
    """How long at least a hold that is not vital may still be improved before its provider is asked."""
    tentative_percent: int
    """Where its need begins later, so much of the time until then, in per cent."""
    tentative_most_minutes: int
    """But never longer than this."""
    answer_minutes: Mapping[str, int]
    """By urgency: how long after its start a need may stay without a place before it is recorded as unmet."""
    ask_again_minutes: int
    """How long an offer that let a hold expire is left alone by that need."""
    round_seconds: int
    """How often all open and tentative needs for nights are decided together."""
    round_needs: int
    """How many needs one round takes at most, the most urgent first."""
    round_candidates: int
    """How many of the nearest feasible offers a round weighs for each need."""
    round_solve_seconds: float
    """How long a round may think."""
    move_most_km: int
    """How much farther than its present place a tentative party may be sent, so that others find one as well."""
    move_gain_km: int
    """Kilometres that a tentative party must be spared to be moved for its own sake."""
    verify_after_days: int
    """Days without confirmation or use after which a provider is asked whether an offer is still true."""
    stale_after_days: int
    """Days without confirmation or use after which an offer is no longer proposed."""

    # What was published before there were pacts says nothing of them: then these hold.
    refer_after_minutes: Mapping[str, int] = field(default_factory=lambda: {"vital": 1, "high": 10, "normal": 30})
    """By urgency: how long places at home are tried before pacts are."""
    refer_ahead_hours: int = 48
    """Whose need begins later than this is not referred yet: home has time."""
    refer_most_km: int = 150
    """How far a partner town may be from the town where people are, unless their need says otherwise."""
    refer_search_minutes: int = 30
    """How long a place is looked for in a partner town before people are looked after at home again."""

    # The same for what was published before the way's minutes and the people's preferences were weighed.
    minute_km: float = 0.0
    """Kilometres that each minute of the way costs beside its kilometres; 0: the kilometres alone are weighed."""
    near_times: float = 2.0
    """Kilometres that each one costs beyond what the people called near, beside those of the way."""
    wish_km: int = 10
    """What each thing costs that the people wish for and a place does not have."""
    preference_most_km: int = 30
    """What preferences may cost a place at most, all together."""
    marks_from_parties: int = 10
    """With marks from fewer parties than this a place counts as one of middling marks; they decide between equals."""

    def tentative_for(self, urgency: Urgency, ahead: timedelta) -> timedelta:
        """How long a hold stays tentative whose need begins so far ahead: a vital need's is firm at once."""
        if urgency is Urgency.VITAL:
            return timedelta(0)
        share = min(ahead * (self.tentative_percent / 100), timedelta(minutes=self.tentative_most_minutes))
        return max(share, timedelta(seconds=self.tentative_seconds))

    def prices_since(self, urgency: Urgency, now: datetime) -> datetime:
        """When a scarcity price must have been set to count for a need of this urgency: never for a vital one."""
        return _NEVER if urgency is Urgency.VITAL else now - timedelta(hours=self.price_hours)

    def finds_stale(self, verified_at: datetime, now: datetime) -> bool:
        """Whether an offer was last said to be true too long ago for anybody to be sent there."""
        return (now - verified_at).days >= self.stale_after_days

    @property
    def stale_after(self) -> timedelta:
        """`stale_after_days` as a duration."""
        return timedelta(days=self.stale_after_days)

    @property
    def refer_ahead(self) -> timedelta:
        """`refer_ahead_hours` as a duration."""
        return timedelta(hours=self.refer_ahead_hours)

    def answer_within(self, urgency: Urgency) -> timedelta:
        """How long a need of this urgency may wait before it counts as unmet."""
        return timedelta(minutes=self.answer_minutes[urgency.value])


_NEVER = datetime.max.replace(tzinfo=UTC)
FIRST_POLICY = Policy(
    version=3,
    radius_km=50,
    candidates=8,
    load_km=5,
    price_percent=100,
    price_most_km=20,
    price_hours=6,
    town_load_times=2.0,
    town_load_km=5,
    town_load_most_km=10,
    association_load_times=1.5,
    association_load_km=5,
    association_load_most_km=10,
    fair_from_people=10,
    tentative_seconds=20,
    tentative_percent=25,
    tentative_most_minutes=60,
    answer_minutes={"vital": 30, "high": 120, "normal": 360},
    ask_again_minutes=60,
    round_seconds=5,
    round_needs=10_000,
    round_candidates=50,
    round_solve_seconds=2.0,
    move_most_km=10,
    move_gain_km=5,
    verify_after_days=14,
    stale_after_days=21,
)
"""What a new network starts with."""
