"""Towns that share, and one look of the worker at whom they may take: for tests of referrals."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from db.bell import Bell
from db.connection import transaction
from db.roles import Role
from db.settings import Settings
from matching.vocabulary import OrganizationKind
from tests.acting import in_role
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import Fact, hold, look_at_all_due, one, rows
from tests.pacts import add_pact, works_in
from tests.places import BRIANCON, GAP, MENTON, PlaceRow
from worker.referrals import look_after_referrals

__all__ = ["Towns", "share"]


@dataclass(frozen=True)
class Towns:
    """The coordination of Briançon, which posts needs, and the town halls of Gap and Menton, which have places."""

    engine: AsyncEngine
    settings: Settings
    briancon: UUID
    gap: UUID
    menton: UUID

    async def pact(self, to: PlaceRow = GAP, from_: PlaceRow = BRIANCON, /, **terms: object) -> UUID:
        """A pact between two of the towns."""
        async with transaction(self.engine) as tx:
            return await add_pact(tx, (self._of(from_), from_), (self._of(to), to), **terms)

    async def places(self, town: PlaceRow = GAP, /, **terms: object) -> UUID:
        """Places in one of the towns."""
        async with transaction(self.engine) as tx:
            return await add_offer(tx, self._of(town), place=town, **terms)  # type: ignore[arg-type]

    async def need(self, **terms: object) -> UUID:
        """A need in Briançon that was posted an hour ago and found nothing there."""
        async with transaction(self.engine) as tx:
            need_id = await add_need(tx, self.briancon, **{"max_km": 500, **terms})
        await rows(self.engine, "update need set posted_at = posted_at - interval '1 hour' where id = :id", id=need_id)
        assert await hold(self.engine, need_id) == ()
        return need_id

    async def look(self) -> int:
        """One look of the worker at referrals, without its looks for places."""
        return await look_after_referrals(in_role(self.engine, Role.MATCHER), Bell(self.settings))

    async def work(self) -> None:
        """Looks at places and referrals until nothing changes."""
        while True:
            made = await look_at_all_due(self.engine)
            if not await self.look() and not made:
                return

    async def state(self, need_id: UUID) -> str:
        """Where a need stands."""
        return str((await one(self.engine, "select state from need where id = :id", id=need_id)).state)

    async def referrals(self, need_id: UUID) -> list[tuple[int, int, str, str | None]]:
        """Its referrals, oldest first: to which town, on which step, in which state and why."""
        found = await rows(
            self.engine,
            "select to_town_id, step, state, reason from referral where need_id = :id order by created_at, id",
            id=need_id,
        )
        return [(row.to_town_id, row.step, row.state, row.reason) for row in found]

    async def newest(self, need_id: UUID) -> UUID:
        """The id of its newest referral."""
        found = await one(
            self.engine, "select id from referral where need_id = :id order by created_at desc limit 1", id=need_id
        )
        newest: UUID = found.id
        return newest

    async def counted(self) -> dict[int, int]:
        """People counted in weeks, by town."""
        found = await rows(self.engine, "select to_town_id, sum(people) as people from pact_week group by to_town_id")
        return {row.to_town_id: int(row.people) for row in found}

    async def week(self, town: PlaceRow = GAP) -> Fact:
        """The one week towards a town."""
        return await one(self.engine, "select * from pact_week where to_town_id = :town", town=town.id)

    def _of(self, town: PlaceRow) -> UUID:
        return {BRIANCON.id: self.briancon, GAP.id: self.gap, MENTON.id: self.menton}[town.id]


async def share(engine: AsyncEngine, settings: Settings) -> Towns:
    """The towns, without a pact or a place yet."""
    async with transaction(engine) as tx:
        briancon = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination of Briançon")
        gap = await add_organization(tx, name="Municipality of Gap")
        menton = await add_organization(tx, name="Municipality of Menton")
        for who, town in ((briancon, BRIANCON), (gap, GAP), (menton, MENTON)):
            await works_in(tx, who, town)
    return Towns(engine, settings, briancon, gap, menton)
