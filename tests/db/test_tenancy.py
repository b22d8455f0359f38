"""The second layer of tenancy: with raw SQL and no condition at all, an organization sees and changes what is its own.

Two evenings with a bit of everything lie in one database; nothing of the one may be seen from the other.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import keys
from db.connection import connect, transaction
from db.roles import Role, act_for
from db.settings import Settings
from db.tables import Row
from db.tenancy import MATCHER_GRANTS, OPEN_TO_ALL, REVEAL_GRANTS, RULES
from matching.states import AllocationState
from tests.acting import in_role
from tests.conftest import Logins
from tests.db.acts import answer, one, rows
from tests.evening import HASHING, Evening, evening
from tests.places import CLAVIERE, OULX, VENTIMIGLIA

ROLES = tuple(Role)
SEEN = sorted(table for table, rule in RULES.items() if rule.sees)
TABLES = sorted(Row.metadata.tables)
NOBODYS = ["", "garbage", "*", "null", "' or true --", str(UUID(int=0)), str(uuid4())]


class Two(NamedTuple):
    """Two evenings, and by table the rows of each, by where they lie."""

    one: Evening
    other: Evening
    rows: dict[str, frozenset[str]]
    other_rows: dict[str, frozenset[str]]


async def lying(engine: AsyncEngine, tables: list[str]) -> dict[str, frozenset[str]]:
    """Where the rows of each table lie that this engine sees."""
    async with transaction(engine) as tx:
        return {
            table: frozenset((await tx.execute(text(f"select cast(ctid as text) from {table}"))).scalars())
            for table in tables
        }


@pytest.fixture
async def two(engine: AsyncEngine, settings: Settings) -> Two:
    mine = await evening(engine, settings)
    theirs = await evening(engine, settings, OULX, VENTIMIGLIA, CLAVIERE)
    # Who is in a row is asked of the owner, row by row, and of nothing that row security is made of.
    found = await lying(engine, TABLES)
    of_theirs = {table: await _of(engine, theirs, table) for table in SEEN}
    return Two(mine, theirs, {t: found[t] - of_theirs[t] for t in SEEN}, of_theirs)


async def _of(engine: AsyncEngine, whose: Evening, table: str) -> frozenset[str]:
    """The rows that speak of an evening's organizations, or of something that does."""
    names = [str(each) for each in (whose.town_hall, whose.refuge, whose.poster)]
    spoken = {
        "organization": "r.id = any(cast(:ids as uuid[]))",
        "event": "r.organizations && cast(:ids as uuid[])",
        "allocation_slot": "exists (select from allocation x where x.id = r.allocation_id and x.{poster})",
        "pledge_turn": "exists (select from pledge x where x.id = r.pledge_id and x.{own})",
        "shift": "exists (select from pledge x where x.id = r.pledge_id and x.{own})",
        "site_location": "exists (select from site x where x.id = r.site_id and x.{own})",
        "notice": "exists (select from channel x where x.id = r.channel_id and x.{own})",
        "webhook_delivery": "exists (select from webhook x where x.id = r.webhook_id and x.{own})",
        "slot": "exists (select from offer x where x.id = r.offer_id and x.{own})",
        "slot_staffing": "exists (select from slot s join offer x on x.id = s.offer_id"
        " where s.id = r.slot_id and x.{own})",
        "allocation": "r.{poster}",
        "pact": "r.proposer_id = any(cast(:ids as uuid[]))",
        "pact_version": "r.proposed_by = any(cast(:ids as uuid[]))",
        "pact_week": "exists (select from pact x where x.id = r.pact_id and x.proposer_id = any(cast(:ids as uuid[])))",
        "preference": "exists (select from need x where x.id = r.need_id and x.{own})",
        "referral": "r.{poster}",
        "ride": "exists (select from need x where x.id = r.need_id and x.{own})",
    }.get(table, "r.{own}")
    condition = spoken.format(
        own="organization_id = any(cast(:ids as uuid[]))", poster="poster_id = any(cast(:ids as uuid[]))"
    )
    found = await rows(engine, f"select cast(r.ctid as text) as at from {table} r where {condition}", ids=names)
    return frozenset(row.at for row in found)


@pytest.fixture
async def api(settings: Settings, logins: Logins) -> AsyncIterator[AsyncEngine]:
    """As requests connect."""
    engine = connect(_as(settings, logins.api), "test", Role.APP)
    yield engine
    await engine.dispose()


@pytest.fixture
async def worker(settings: Settings, logins: Logins) -> AsyncIterator[AsyncEngine]:
    """As the worker connects."""
    engine = connect(_as(settings, logins.worker), "test", Role.MATCHER)
    yield engine
    await engine.dispose()


def _as(settings: Settings, user: str) -> Settings:
    address = {"database_url": Logins.address(settings.database_url, user)}
    return Settings(**settings.model_dump(exclude={"database_address"}) | address)


def seen_by(engine: AsyncEngine, organization: UUID | str | None) -> AsyncEngine:
    return in_role(engine, Role.APP, organization)


async def test_every_table_has_an_owner_that_is_nobody_and_row_security_that_binds_even_it(engine: AsyncEngine) -> None:
    found = await rows(
        engine,
        """
        select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as secured, r.rolname as owner
          from pg_class c join pg_roles r on r.oid = c.relowner
         where c.relnamespace = cast('public' as regnamespace) and c.relkind in ('r', 'p', 'v', 'm')
           and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
           and c.relname <> 'alembic_version'
        """,
    )
    assert {row.name for row in found} == set(TABLES)
    assert {row.name for row in found if not row.secured} == set(OPEN_TO_ALL)
    assert {row.owner for row in found} == {Role.OWNER}


async def test_no_role_can_log_in_pass_row_security_or_make_anything(engine: AsyncEngine) -> None:
    found = await rows(
        engine,
        "select rolname, rolcanlogin or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb as may,"
        " has_schema_privilege(rolname, 'public', 'create') as makes,"
        " exists (select from pg_class where relowner = r.oid and relkind <> 'i') as owns,"
        " exists (select from pg_auth_members m where m.member = r.oid) as member"
        " from pg_roles r where rolname like 'relais%'",
    )
    told = {row.rolname: (row.may, row.makes, row.owns, row.member) for row in found if row.rolname in ROLES}
    assert told == {role: (False, role is Role.OWNER, role is Role.OWNER, False) for role in ROLES}


async def test_what_each_role_is_granted_is_what_is_declared_and_nothing_more(engine: AsyncEngine) -> None:
    granted = await rows(
        engine,
        "select table_name as name, grantee, privilege_type as what from information_schema.role_table_grants"
        " where table_schema = 'public' and grantee in ('relais_app', 'relais_matcher', 'relais_reveal', 'PUBLIC')"
        " and table_name not in ('geography_columns', 'geometry_columns', 'spatial_ref_sys')",
    )
    declared: set[tuple[str, Role, str]] = {
        (table, role, "SELECT") for table in OPEN_TO_ALL for role in ROLES if role is not Role.OWNER
    }
    for grants, role in ((MATCHER_GRANTS, Role.MATCHER), (REVEAL_GRANTS, Role.REVEAL)):
        for table, what in grants.items():
            declared |= {(table, role, each.strip().upper()) for each in what.split(", ") if "(" not in what}
    for table, rule in RULES.items():
        commands = {"SELECT": rule.sees and not rule.columns, "INSERT": rule.adds}
        commands |= {"UPDATE": rule.changes, "DELETE": rule.deletes}
        declared |= {(table, Role.APP, command) for command, may in commands.items() if may}
    columns = {"api_key", "session", "site", "site_location", "offer", "allocation"}
    assert {(row.name, row.grantee, row.what) for row in granted} ^ declared <= {
        (table, role, what)
        for table in columns
        for role in (Role.MATCHER, Role.REVEAL)
        for what in ("SELECT", "UPDATE", "INSERT", "DELETE")
    }


async def test_without_an_organization_there_are_no_rows(two: Two, engine: AsyncEngine) -> None:
    assert [table for table in SEEN if not two.rows[table]] == [], "tables that this test misses"
    for nobody in (None, *NOBODYS):
        async with transaction(in_role(engine, Role.APP)) as tx:
            if nobody is not None:
                await tx.execute(text("select set_config('relais.organization', :nobody, true)"), {"nobody": nobody})
            for table in SEEN:
                column = RULES[table].columns.partition(",")[0] or "*"
                assert (await tx.execute(text(f"select count({column}) from {table}"))).scalar_one() == 0, nobody


@asynccontextmanager
async def unsecured(engine: AsyncEngine, table: str) -> AsyncIterator[None]:
    await rows(engine, f"alter table {table} disable row level security")
    yield
    await rows(engine, f"alter table {table} enable row level security")


async def foreign(engine: AsyncEngine, two: Two) -> set[str]:
    """Tables of which an organization of one evening sees a row of the other."""
    tables = [table for table in SEEN if not RULES[table].columns]
    found: set[str] = set()
    for who in (two.one.town_hall, two.one.refuge, two.one.poster):
        seen = await lying(seen_by(engine, who), tables)
        found |= {table for table in tables if seen[table] & two.other_rows[table]}
    return found


async def test_nothing_of_another_evening_is_seen(two: Two, engine: AsyncEngine) -> None:
    assert [table for table in SEEN if not two.other_rows[table] or not two.rows[table]] == []
    assert await foreign(engine, two) == set()
    # Each table is one that the same look would find open.
    for table in (each for each in SEEN if not RULES[each].columns):
        async with unsecured(engine, table):
            assert table in await foreign(engine, two)


async def test_what_is_told_to_the_network_is_seen_by_those_who_work_in_it(two: Two, engine: AsyncEngine) -> None:
    await rows(engine, "update practice set state = 'told'")
    for who, shown in ((two.one.refuge, 2), (two.one.poster, 0), (uuid4(), 0)):
        assert len((await lying(seen_by(engine, who), ["practice"]))["practice"]) == shown


async def test_each_organization_sees_its_part_of_an_evening(two: Two, engine: AsyncEngine) -> None:
    async def seen(who: UUID) -> dict[str, int]:
        tables = ["need", "allocation", "offer", "site", "pledge", "shift", "idempotency", "organization"]
        return {table: len(found) for table, found in (await lying(seen_by(engine, who), tables)).items()}

    nothing = dict.fromkeys(await seen(uuid4()), 0)
    shifts = len(two.rows["shift"])
    assert shifts > 0
    # Of the three needs one was placed and one declined: the provider sees what those two parties need.
    assert await seen(two.one.poster) == nothing | {"need": 3, "allocation": 2, "idempotency": 1, "organization": 1}
    assert await seen(two.one.town_hall) == nothing | {
        "need": 2,
        "allocation": 2,
        "offer": 2,
        "site": 2,
        "shift": shifts,
        "organization": 1,
    }
    assert await seen(two.one.refuge) == nothing | {"pledge": 1, "shift": shifts, "organization": 1}


async def test_a_coordination_sees_the_offers_of_its_towns_but_not_their_sites(two: Two, engine: AsyncEngine) -> None:
    await rows(engine, "insert into organization_town select :id, :town", id=two.one.poster, town=OULX.id)
    seen = await lying(seen_by(engine, two.one.poster), ["offer", "site", "slot"])
    assert len(seen["offer"]) == 1
    assert seen["offer"] <= two.other_rows["offer"]
    assert seen["site"] == frozenset()
    # A town hall that works there sees its own and no others.
    await rows(engine, "insert into organization_town select :id, :town", id=two.one.town_hall, town=OULX.id)
    assert (await lying(seen_by(engine, two.one.town_hall), ["offer"]))["offer"] == two.rows["offer"]


ACTS = {
    "update": "update {table} set {column} = {column} returning cast(ctid as text)",
    "delete": "delete from {table} returning cast(ctid as text)",
    "lock": "select cast(ctid as text) from {table} for update",
}


@pytest.mark.parametrize("act", ACTS)
async def test_nothing_of_another_is_changed_deleted_or_locked(two: Two, engine: AsyncEngine, act: str) -> None:
    for who in (two.one.poster, two.one.town_hall, two.one.refuge):
        for table in SEEN:
            columns = Row.metadata.tables[table].columns
            column = next(each.name for each in columns if each.computed is None and each.identity is None)
            async with seen_by(engine, who).connect() as tx:
                touched = await _touched(tx, ACTS[act].format(table=table, column=column))
                if touched is None:
                    continue
                await tx.execute(text(f"set local role {Role.OWNER}"))
                left = set((await tx.execute(text(f"select cast(ctid as text) from {table}"))).scalars())
            # A row that is written lies elsewhere from then on.
            assert two.other_rows[table] <= left, table
            assert act != "lock" or not touched & two.other_rows[table], table


async def _touched(tx: AsyncConnection, statement: str) -> frozenset[str] | None:
    """The rows that a statement touched; `None` where it was refused."""
    try:
        return frozenset((await tx.execute(text(statement))).scalars())
    except DBAPIError as error:
        if not _is_refusal(error):
            raise
        return None


async def test_no_row_is_added_in_the_name_of_another(two: Two, engine: AsyncEngine) -> None:
    tried = 0
    for table in TABLES:
        found = await rows(engine, f"select to_jsonb(r) as row from {table} r")
        copies = [fact.row for fact in found if str(two.other.poster) in json.dumps(fact.row)] or [
            fact.row for fact in reversed(found)
        ]
        if not copies:
            continue
        names = [column.name for column in Row.metadata.tables[table].columns if column.computed is None]
        values = copies[0] | ({"id": str(uuid4())} if isinstance(copies[0].get("id"), str) else {})
        listed = ", ".join(names)
        async with seen_by(engine, two.one.poster).connect() as tx:
            with pytest.raises(DBAPIError) as refused:
                await tx.execute(
                    text(
                        f"insert into {table} ({listed}) overriding system value"
                        f" select {listed} from jsonb_populate_record(cast(null as {table}), cast(:row as jsonb))"
                    ),
                    {"row": json.dumps(values)},
                )
        assert _is_refusal(refused.value), (table, str(refused.value))
        tried += 1
    assert tried >= len(SEEN)


def _is_refusal(error: DBAPIError) -> bool:
    """Whether it was refused as none of its business, and not for another reason."""
    return getattr(error.orig, "sqlstate", "") == "42501"


THEIRS = (
    "select digest from api_key",
    "select prefix from api_key",
    "select secret from issuer",
    "select value from admission",
    "select location from site_location",
    "select address from site_location",
    "select organization_id from audit_entry",
    "select organization_id from audit_pending",
    "select event_id from feed_mark",
    "select word from feedback_count",
    "select points from site_mark",
    "select minutes from travel_time",
    "select count from daily_figure",
    "select name from tombstone",
    "select objective from round",
    "select load from town_load",
    "select version_num from alembic_version",
    "set local role relais_owner",
    "alter table need disable row level security",
    "create table mine (id int)",
)
"""What a request has no business with."""


async def refused(engine: AsyncEngine, statements: Sequence[str], who: UUID) -> list[str]:
    """Those of the statements that are refused."""
    found: list[str] = []
    for statement in statements:
        async with engine.connect() as tx:
            await act_for(tx, who)
            if await _touched(tx, statement) is None:
                found.append(statement)
    return found


async def test_requests_cannot_even_ask_for_what_is_not_theirs(two: Two, api: AsyncEngine) -> None:
    assert await refused(api, THEIRS, two.one.town_hall) == list(THEIRS)
    allowed = ("select id from need", "select site_id, has_address from site_location", "select id from issuers(null)")
    assert await refused(api, allowed, two.one.town_hall) == []


async def test_the_matching_reads_no_place_and_no_key(two: Two, worker: AsyncEngine) -> None:
    sealed = (
        *THEIRS[:6],
        "select secret from issuers(null)",
        "set local role relais_reveal",
        "set local role relais_app",
        "set local role relais_owner",
    )
    assert await refused(worker, sealed, two.one.town_hall) == list(sealed)
    assert await refused(worker, ("select site_id from site_location",), two.one.town_hall) == []


async def test_a_place_is_revealed_to_its_owner_and_while_it_is_confirmed_to_its_people(
    two: Two, engine: AsyncEngine
) -> None:
    places = "select count(*) as n from site_location"

    async def revealed(who: UUID | None) -> int:
        return int((await one(in_role(engine, Role.REVEAL, who), places)).n)

    assert [await revealed(who) for who in (None, two.one.town_hall, two.one.poster, two.one.refuge)] == [0, 2, 1, 0]
    allocation = await one(
        engine, "select id from allocation where poster_id = :poster and state = 'confirmed'", poster=two.one.poster
    )
    await answer(engine, allocation.id, two.one.town_hall, AllocationState.RELEASED)
    assert await revealed(two.one.poster) == 0


async def test_a_key_says_who_acts_and_a_wrong_one_nobody(two: Two, engine: AsyncEngine) -> None:
    acting = text("select acting_organization()")
    wrong = two.one.key[:-1] + ("a" if two.one.key[-1] != "a" else "b")
    async with transaction(in_role(engine, Role.APP)) as tx:
        assert await keys.holder(tx, wrong, HASHING) is None
        assert (await tx.execute(acting)).scalar_one() is None
        found = await keys.holder(tx, two.one.key, HASHING)
        assert found is not None
        assert (await tx.execute(acting)).scalar_one() == found.organization_id == two.one.poster
    async with transaction(in_role(engine, Role.APP)) as tx:
        assert (await tx.execute(acting)).scalar_one() is None, "it ends with the transaction"
