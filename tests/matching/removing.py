"""Taking a stated reason away: the one fact, weight or price that it speaks of, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from matching.assign import Way
from matching.explain import Explanation, Placement, explain
from matching.needs import NO_PREFERENCES, Need
from matching.offers import Offer, Slot
from matching.rules import Circumstances
from matching.states import OfferState
from matching.vocabulary import ACCESS, PROTECTIVE, Audience, Coverage, SiteKind
from tests.matching.builders import night

__all__ = ["REMOVE", "Scene", "manned"]


@dataclass(frozen=True)
class Scene:
    """What an explanation of one need is told from: its place, if it has one, and one offer that it has not."""

    need: Need
    chosen: Offer
    placement: Placement | None
    other: Offer
    at: Circumstances
    in_project: bool = False

    def told(self) -> Explanation:
        """The explanation as of now."""
        had = [] if self.placement is None else [self.chosen]
        placements = [self.placement] if self.placement else []
        return explain(self.need, placements, had, [self.other], self.at, in_project=self.in_project)

    @property
    def code(self) -> str:
        """Why not the other offer."""
        (other,) = self.told().others
        return other.code

    def offering(self, **facts: object) -> "Scene":
        """The same with other facts of the offer that lost."""
        return replace(self, other=replace(self.other, **facts))  # type: ignore[arg-type]

    def under(self, **terms: object) -> "Scene":
        """The same under another policy."""
        return replace(self, at=replace(self.at, policy=replace(self.at.policy, **terms)))  # type: ignore[arg-type]

    def with_slots(self, change: Callable[[Slot], Slot]) -> "Scene":
        """The same with other slots of the offer that lost."""
        return self.offering(slots=tuple(map(change, self.other.slots)))


def manned(slot: Slot, more: int) -> Slot:
    """A slot that so many more volunteers serve, counted as `db.staffing` does."""
    if slot.crew is None:
        return slot
    crew = replace(slot.crew, volunteers=slot.crew.volunteers + more)
    places, used = slot.capacity + slot.unstaffed, slot.capacity - slot.free
    served = crew.volunteers * crew.each if crew.volunteers >= max(crew.minimum, 1) else 0
    capacity = max(used, min(places, served))
    return replace(slot, crew=crew, capacity=capacity, free=capacity - used, unstaffed=max(places - capacity, 0))


def _roomy(slot: Slot) -> Slot:
    return replace(slot, capacity=slot.capacity + 50, free=slot.free + 50)


def _opened(scene: Scene) -> Scene:
    if scene.need.coverage is not Coverage.EVERY:
        raise AssertionError("scenes are of nights")
    free = min((slot.free for slot in scene.other.slots), default=9)
    first = scene.need.days[0]
    nights = [night((day - first).days, free=free, capacity=max(free, 1)) for day in scene.need.days]
    return scene.offering(slots=tuple(nights))


def _crewed(scene: Scene) -> Scene:
    (other,) = scene.told().others
    facts = dict(other.reason.facts)
    return scene.with_slots(lambda slot: manned(slot, int(facts["volunteers"])))


def _as_near(scene: Scene) -> Scene:
    return scene.offering(cell=scene.chosen.cell)


def _saying_nothing(scene: Scene) -> Scene:
    quiet = replace(scene.need, preferences=NO_PREFERENCES)
    return replace(scene, need=quiet).offering(cell=scene.need.cell)


def _promised_to_nobody(scene: Scene) -> Scene:
    assert scene.placement is not None
    return replace(scene, placement=replace(scene.placement, tentative=True))


def _chosen_alone(scene: Scene) -> Scene:
    assert scene.placement is not None
    assert scene.placement.decision is not None
    alone = replace(scene.placement.decision, way=Way.AT_ONCE)
    return replace(scene, placement=replace(scene.placement, decision=alone))


REMOVE: Mapping[str, Callable[[Scene], Scene]] = {
    "category": lambda scene: scene.offering(category=scene.need.category),
    "paused": lambda scene: scene.offering(state=OfferState.OPEN),
    "stale": lambda scene: scene.offering(verified_at=scene.at.now),
    "vetting": lambda scene: scene.offering(site_kind=SiteKind.MUNICIPAL_BUILDING),
    "distance": lambda scene: scene.offering(cell=scene.need.cell),
    "border": lambda scene: replace(
        scene, need=replace(scene.need, countries=scene.need.countries | {scene.other.country})
    ),
    "audience": lambda scene: scene.offering(
        audience=frozenset({Audience.ANYONE}), provides=scene.other.provides | (scene.need.requires & PROTECTIVE)
    ),
    "access": lambda scene: scene.offering(provides=scene.other.provides | (scene.need.requires & ACCESS)),
    "language": lambda scene: scene.offering(
        provides=scene.other.provides | {code for code in scene.need.requires if ":" in code},
        language=scene.need.language,
    ),
    "party_size": lambda scene: scene.offering(party_max=None),
    "stay_length": lambda scene: scene.offering(nights_max=None),
    "refused_before": lambda scene: replace(
        scene, need=replace(scene.need, turned_down=scene.need.turned_down - {scene.other.id})
    ),
    "window": _opened,
    "capacity": lambda scene: scene.with_slots(_roomy),
    "staffing": _crewed,
    "travel": _as_near,
    "time": lambda scene: scene.under(minute_km=0.0),
    "preference": lambda scene: replace(scene, need=replace(scene.need, preferences=NO_PREFERENCES)),
    "load": lambda scene: scene.under(load_km=0),
    "price": lambda scene: scene.under(price_percent=0),
    "town": lambda scene: scene.under(town_load_km=0),
    "association": lambda scene: scene.under(association_load_km=0),
    "kept": _promised_to_nobody,
    "small_gain": lambda scene: _saying_nothing(scene).under(move_gain_km=0, minute_km=0.0),
    "together": _chosen_alone,
    "plan": lambda scene: replace(scene, in_project=False),
    "improves": lambda scene: scene.under(move_gain_km=500),
    "beyond": lambda scene: scene.under(candidates=100, round_candidates=500),
    "fits": lambda scene: scene.with_slots(lambda slot: replace(slot, capacity=slot.capacity - slot.free, free=0)),
}
"""By the code of a rule or a term. A tie has nothing to take away, nor have marks that break one: see its own test."""
