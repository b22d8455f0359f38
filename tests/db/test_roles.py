"""Steps in another role end with the step, and what roles may do is applied as it is declared."""

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import tenancy
from db.connection import transaction
from db.roles import Role, acting_as
from matching.refusals import NotFound
from tests.acting import in_role
from tests.db.acts import rows


async def test_a_step_in_another_role_ends_with_the_step(engine: AsyncEngine) -> None:
    role = text("select cast(current_user as text)")
    async with transaction(in_role(engine, Role.APP)) as tx:

        async def now() -> str:
            return str((await tx.execute(role)).scalar_one())

        async with acting_as(tx, Role.MATCHER):
            async with acting_as(tx, Role.REVEAL):
                assert await now() == Role.REVEAL
            assert await now() == Role.MATCHER
            async with acting_as(tx, Role.MATCHER):
                pass
            assert await now() == Role.MATCHER
        assert await now() == Role.APP
        with pytest.raises(NotFound):
            async with acting_as(tx, Role.MATCHER):
                raise NotFound
        assert await now() == Role.APP
        with pytest.raises(DBAPIError):
            async with acting_as(tx, Role.MATCHER):
                await tx.execute(text("select 1 / 0"))
        await tx.rollback()
    async with transaction(in_role(engine, Role.APP)) as tx, acting_as(tx, Role.MATCHER):
        assert str((await tx.execute(role)).scalar_one()) == Role.MATCHER, "what a lost transaction left is forgotten"


UNSENDABLE = (text("select cast(:n as int)"), {"n": 2**70})
"""Refused by the driver: the server never hears of it, and its transaction goes on."""


@pytest.mark.parametrize("lost", [(text("select 1 / 0"), {}), UNSENDABLE], ids=["server", "driver"])
async def test_a_step_that_broke_leaves_its_role_to_nobody_who_goes_on(
    engine: AsyncEngine, lost: tuple[TextClause, dict[str, int]]
) -> None:
    role = text("select cast(current_user as text)")
    async with transaction(in_role(engine, Role.APP)) as tx:
        with pytest.raises(DBAPIError):
            async with tx.begin_nested(), acting_as(tx, Role.MATCHER):
                await tx.execute(*lost)
        assert (await tx.execute(role)).scalar_one() == Role.APP
        async with acting_as(tx, Role.MATCHER):
            assert (await tx.execute(role)).scalar_one() == Role.MATCHER, "the next step takes the role again"
    async with transaction(in_role(engine, Role.APP)) as tx:
        with pytest.raises(DBAPIError):
            async with acting_as(tx, Role.MATCHER):
                await tx.execute(*UNSENDABLE)
        assert (await tx.execute(role)).scalar_one() == Role.APP


STANDING = (
    "select oid, tableoid, polname, polrelid from pg_policy order by oid",
    "select relacl, relname, relowner from pg_class where relnamespace = cast('public' as regnamespace) order by oid",
)


async def apply(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(tenancy.apply)


async def test_what_is_applied_again_changes_nothing(engine: AsyncEngine) -> None:
    before = [await rows(engine, each) for each in STANDING]
    await apply(engine)
    assert [await rows(engine, each) for each in STANDING] == before


@pytest.mark.parametrize(
    "undone",
    [
        "alter table need disable row level security",
        "alter table site no force row level security",
        "alter table offer owner to current_user",
        "drop policy app_select on need",
        "alter policy app_select on need using (true)",
        "grant select on api_key to relais_app",
        "grant select (digest) on api_key to relais_matcher",
        "grant execute on function key_holder(text, bytea) to public",
        "alter function key_holder(text, bytea) security invoker",
        # What is left of a backup that was restored on a server where nobody had made the roles.
        "drop owned by relais_app, relais_matcher, relais_reveal",
    ],
)
async def test_what_a_hand_or_a_restored_backup_undid_is_done_again(engine: AsyncEngine, undone: str) -> None:
    before = await _as_it_stands(engine)
    await rows(engine, undone)
    assert await _as_it_stands(engine) != before
    await apply(engine)
    assert await _as_it_stands(engine) == before


async def _as_it_stands(engine: AsyncEngine) -> list[set[tuple[str, ...]]]:
    """What may be done by whom; in no order, for what is granted again comes last."""
    statements = (
        """
        select tablename, policyname, cast(roles as text), cmd, qual, with_check from pg_policies
        """,
        """
        select relname, pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity,
               array(select cast(a as text) from unnest(relacl) a order by 1)
          from pg_class where relnamespace = cast('public' as regnamespace) and relkind in ('r', 'S')
        """,
        """
        select c.relname, a.attname, array(select cast(x as text) from unnest(a.attacl) x order by 1)
          from pg_attribute a join pg_class c on c.oid = a.attrelid
         where a.attacl is not null and c.relnamespace = cast('public' as regnamespace)
        """,
        """
        select proname, prosecdef, array(select cast(a as text) from unnest(proacl) a order by 1)
          from pg_proc where proname in ('key_holder', 'acting_organization')
        """,
    )
    return [{tuple(map(str, row)) for row in await rows(engine, statement)} for statement in statements]


async def test_a_connection_that_is_lost_in_such_a_step_is_what_is_told(engine: AsyncEngine) -> None:
    async def lose_it() -> None:
        async with transaction(in_role(engine, Role.APP)) as tx, acting_as(tx, Role.MATCHER):
            session = (await tx.execute(text("select pg_backend_pid()"))).scalar_one()
            async with transaction(engine) as operator:
                await operator.execute(text("select pg_terminate_backend(:session)"), {"session": session})
            await tx.execute(text("select 1"))

    with pytest.raises(DBAPIError) as told:
        await lose_it()
    assert told.value.connection_invalidated
