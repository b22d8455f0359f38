"""What is asked: needs, their allocations, and the slots that each allocation takes.

A slot's `used` equals the sum of `people` over the allocation slots that are `taken`, always; one of the past keeps
its count when the needs of its people are purged.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Computed, ForeignKey, Index, LargeBinary, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CellColumn, CreatedAt, Identity, PointColumn, Row, Texts, Version, one_of
from matching.projects import ProjectState
from matching.states import AllocationState, NeedState
from matching.vocabulary import Stay, Urgency, Wish

__all__ = ["Allocation", "AllocationSlot", "Need", "Pathway", "Preference", "Project"]

_WISHES: Final = ", ".join(f"'{word}'" for word in Wish)


class Need(Row):
    """What one party needs, where, when and how urgently.

    `look_at` is when the matching looks at it next; `fruitless` counts looks in a row that found nothing, and
    `failures` those that broke: after some of these the need is parked for somebody to see. `slip` is a keyed hash of
    its people's code. `cell` and `point` are where a place is looked for: its town's, or those of the partner town
    `searched_town_id` where it was referred, `searched_km` from its own. `refer_at` is when pacts are tried next.
    `step` is its place in the pathway `pathway_id`, or the project `project_id`; a step beside the bed of a pathway is
    looked for around the bed.
    """

    __tablename__ = "need"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    category: Mapped[str] = mapped_column(ForeignKey("category.code"))
    town_id: Mapped[int] = mapped_column(ForeignKey("town.id"))
    cell: Mapped[CellColumn]
    point: Mapped[PointColumn]
    adults: Mapped[int]
    minors: Mapped[int]
    people: Mapped[int] = mapped_column(Computed("adults + minors", persisted=True))
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    urgency: Mapped[str]
    tier: Mapped[int]
    stay: Mapped[str]
    audience: Mapped[Texts]
    requires: Mapped[Texts]
    countries: Mapped[Texts]
    max_km: Mapped[int | None]
    divisible: Mapped[bool]
    teaches: Mapped[str | None]
    level: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default=NeedState.OPEN.value)
    posted_at: Mapped[CreatedAt]
    deadline: Mapped[datetime]
    look_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    fruitless: Mapped[int] = mapped_column(server_default=text("0"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    parked_at: Mapped[datetime | None]
    searched_town_id: Mapped[int | None]
    searched_km: Mapped[int | None]
    refer_at: Mapped[datetime | None]
    pathway_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    step: Mapped[int | None]
    unmet_at: Mapped[datetime | None]
    unmet_reasons: Mapped[dict[str, int] | None] = mapped_column(JSONB)
    ended_at: Mapped[datetime | None]
    slip: Mapped[bytes | None] = mapped_column(LargeBinary)
    feedback_given: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", NeedState), name="state"),
        CheckConstraint(one_of("urgency", Urgency), name="urgency"),
        CheckConstraint(one_of("stay", Stay), name="stay"),
        CheckConstraint("adults >= 0 and minors >= 0 and adults + minors > 0", name="people"),
        CheckConstraint("starts < ends", name="window"),
        Index("need_slip_key", "slip", unique=True, postgresql_where=text("slip is not null")),
        Index("need_organization_id_idx", "organization_id", "posted_at", "id"),
        Index("need_lookalike_idx", "organization_id", "town_id", "starts"),
        Index(
            "need_due_idx",
            "tier",
            "look_at",
            # In words that fit no other index: the planner takes all of those for empty where none lived when it last
            # counted them, and would walk any.
            postgresql_where=text(
                "state in ('open', 'unmet') and parked_at is null and coalesce(ended_at, 'infinity') = 'infinity'"
            ),
        ),
        Index("need_deadline_idx", "deadline", postgresql_where=text("state = 'open'")),
        Index(
            "need_seeking_point_idx",
            "category",
            "point",
            postgresql_using="gist",
            postgresql_where=text("state in ('open', 'unmet')"),
        ),
        Index("need_pathway_id_idx", "pathway_id", postgresql_where=text("pathway_id is not null")),
        Index("need_project_id_idx", "project_id", postgresql_where=text("project_id is not null")),
        Index("need_ended_at_idx", "ended_at", postgresql_where=text("ended_at is not null")),
        Index("need_ends_idx", "ends", postgresql_where=text("ended_at is null")),
        {"postgresql_with": {"fillfactor": "80"}},
    )


class Preference(Row):
    """What the people of a need said on their slip, for as long as the need is kept. Most say nothing.

    A table of its own: the hosts of a party read its need, and not this.
    """

    __tablename__ = "preference"

    need_id: Mapped[UUID] = mapped_column(ForeignKey("need.id", ondelete="CASCADE"), primary_key=True)
    near_town_id: Mapped[int | None] = mapped_column(ForeignKey("town.id"))
    near_km: Mapped[int | None]
    most_km: Mapped[int | None]
    wishes: Mapped[Texts]
    waits_for: Mapped[Texts]

    __table_args__ = (
        CheckConstraint("(near_town_id is null) = (near_km is null) and near_km >= 0", name="near"),
        CheckConstraint("most_km > 0", name="most"),
        CheckConstraint(f"(wishes || waits_for) <@ array[{_WISHES}]", name="words"),
    )


class Allocation(Row):
    """People of one need placed in the slots of one offer.

    `provider_id` owns the offer, `poster_id` posted the need. A hold is tentative until `firm_from` and ends at
    `held_until`; both are judged by the database's clock. One that `awaits_people` is part of a plan to which they have
    not said yes: its provider is not asked before. `travel_minutes` is how long the way by road takes, as it was
    known then. `way` is how it was chosen and `terms` what its place cost
    then, in kilometres by term; `round_id` names the round, which is written down after its allocations.
    """

    __tablename__ = "allocation"

    id: Mapped[Identity]
    need_id: Mapped[UUID] = mapped_column(ForeignKey("need.id"))
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("offer.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    poster_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    people: Mapped[int]
    state: Mapped[str]
    firm_from: Mapped[datetime]
    awaits_people: Mapped[bool] = mapped_column(server_default=text("false"))
    held_until: Mapped[datetime]
    last_arrival: Mapped[datetime]
    ends: Mapped[datetime]
    distance_km: Mapped[int]
    travel_minutes: Mapped[int | None]
    policy_version: Mapped[int] = mapped_column(ForeignKey("policy.version"))
    way: Mapped[str | None]
    terms: Mapped[dict[str, float] | None] = mapped_column(JSONB)
    round_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", AllocationState), name="state"),
        CheckConstraint("people > 0", name="people"),
        Index("allocation_need_id_idx", "need_id"),
        Index("allocation_offer_id_idx", "offer_id", "state"),
        Index(
            "allocation_live_key",
            "need_id",
            "offer_id",
            unique=True,
            postgresql_where=text("state in ('held', 'confirmed', 'arrived')"),
        ),
        Index("allocation_held_until_idx", "held_until", postgresql_where=text("state = 'held'")),
        Index("allocation_last_arrival_idx", "last_arrival", postgresql_where=text("state = 'confirmed'")),
        Index("allocation_ends_idx", "ends", postgresql_where=text("state in ('confirmed', 'arrived')")),
        Index("allocation_provider_id_idx", "provider_id", "created_at", "id"),
        Index("allocation_poster_id_idx", "poster_id", "created_at", "id"),
        {"postgresql_with": {"fillfactor": "80"}},
    )


class Pathway(Row):
    """Several needs of one party that are placed as one plan; they name it, and it is gone with the last of them.

    `near_km` is how far each of the others may lie from the bed. `slip` is a keyed hash of the one code of them all.
    """

    __tablename__ = "pathway"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    near_km: Mapped[int]
    posted_at: Mapped[CreatedAt]
    slip: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint("near_km > 0", name="near_km"),
        Index("pathway_organization_id_idx", "organization_id", "posted_at", "id"),
        Index("pathway_slip_key", "slip", unique=True, postgresql_where=text("slip is not null")),
    )


class Project(Row):
    """Parties that move together, near each other and at least so many people; their needs name it.

    `plan` counts the plans that were proposed, and each loss of a place of one that waits; while one waits for the
    people's answer, `answer_by` is until when. `accepted_plan` is the last that they said yes to; `refused` are offers
    that are not proposed to them again.
    `slip` is a keyed hash of the code of their representatives.
    """

    __tablename__ = "project"

    id: Mapped[Identity]
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    together_km: Mapped[int]
    minimum: Mapped[int]
    answer_hours: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=ProjectState.OPEN.value)
    plan: Mapped[int] = mapped_column(server_default=text("0"))
    accepted_plan: Mapped[int | None]
    refused: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    answer_by: Mapped[datetime | None]
    posted_at: Mapped[CreatedAt]
    slip: Mapped[bytes | None] = mapped_column(LargeBinary)
    version: Mapped[Version]

    __table_args__ = (
        CheckConstraint(one_of("state", ProjectState), name="state"),
        CheckConstraint("together_km >= 0 and minimum > 0 and answer_hours > 0", name="terms"),
        CheckConstraint("(state = 'proposed') = (answer_by is not null)", name="answer_by"),
        Index("project_organization_id_idx", "organization_id", "posted_at", "id"),
        Index("project_slip_key", "slip", unique=True, postgresql_where=text("slip is not null")),
    )


class AllocationSlot(Row):
    """Places of one slot in one allocation; `taken` while they count in the slot's `used`."""

    __tablename__ = "allocation_slot"

    allocation_id: Mapped[UUID] = mapped_column(ForeignKey("allocation.id", ondelete="CASCADE"), primary_key=True)
    slot_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("slot.id", ondelete="CASCADE"), primary_key=True)
    people: Mapped[int]
    taken: Mapped[bool]

    __table_args__ = (
        CheckConstraint("people > 0", name="people"),
        Index("allocation_slot_slot_id_idx", "slot_id"),
    )
