"""Tenancy in the database: its roles, what each may touch, and which rows an organization sees.

The second of two independent layers: whatever a query forgets to ask, the database answers with the rows of the acting
organization and no others. It is declared here and applied by `relais migrate`; `docs/decisions/0001-roles.md` says why
it is as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, text

from db.roles import Role
from db.tables import Row

__all__ = ["MATCHER_GRANTS", "OPEN_TO_ALL", "REVEAL_GRANTS", "RULES", "apply", "is_applied"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What the app role sees of a table, and what it may do to rows of it; `None` is nothing.

    Each is a condition on a row. To lock a row is to update it.
    """

    sees: str | None = None
    columns: str = ""
    """The only columns that it sees; all where nothing is said."""
    adds: str | None = None
    changes: str | None = None
    changed_to: str | None = None
    """What a changed row must be; as `changes` where nothing is said."""
    deletes: str | None = None


_ME: Final = "(select acting_organization())"
_OWN: Final = f"organization_id = {_ME}"
_OWN_SITE: Final = f"exists (select from site h where h.id = site_id and h.{_OWN})"
_OWN_OFFER: Final = f"exists (select from offer o where o.id = offer_id and o.{_OWN})"
_OWN_WEBHOOK: Final = f"exists (select from webhook w where w.id = webhook_id and w.{_OWN})"
_OWN_CHANNEL: Final = f"exists (select from channel c where c.id = channel_id and c.{_OWN})"
_SEEN_PACT: Final = "exists (select from pact p where p.id = pact_id)"
_WORKS_SOMEWHERE: Final = f"exists (select from organization_town t where t.{_OWN})"
_NAMED: Final = "exists (select from practice p where p.organization_id = organization.id and p.named)"
_SEEN_PLEDGE: Final = "exists (select from pledge p where p.id = pledge_id)"
_OF_ITS_TOWNS: Final = f"""town_id in (
    select t.town_id from organization_town t join organization c on c.id = t.organization_id
     where c.kind = 'coordination' and t.{_OWN})"""

RULES: Final[Mapping[str, Rule]] = {
    "allocation": Rule(sees=f"{_ME} in (provider_id, poster_id)"),
    "allocation_slot": Rule(sees="exists (select from allocation a where a.id = allocation_id)"),
    "audit_pending": Rule(adds=_OWN),
    "capacity_news": Rule(adds=_OWN_OFFER),
    "channel": Rule(sees=_OWN, adds=_OWN, changes=_OWN, deletes=_OWN),
    "event": Rule(sees=f"{_ME} = any(organizations)", adds=f"{_ME} = any(organizations)"),
    "idempotency": Rule(sees=_OWN, adds=_OWN, changes=_OWN),
    "need": Rule(
        sees=f"{_OWN} or exists (select from allocation a where a.need_id = need.id)", adds=_OWN, changes=_OWN
    ),
    "notice": Rule(sees=_OWN_CHANNEL, adds=_OWN_CHANNEL),
    "notification_choice": Rule(sees=_OWN, adds=_OWN, changes=_OWN),
    "offer": Rule(sees=f"{_OWN} or {_OF_ITS_TOWNS}", adds=_OWN, changes=_OWN),
    "organization": Rule(sees=f"id = {_ME} or {_NAMED}"),
    "organization_town": Rule(sees=_OWN),
    "pact": Rule(
        sees=f"{_ME} in (proposer_id, partner_id)",
        adds=f"proposer_id = {_ME}",
        changes=f"{_ME} in (proposer_id, partner_id)",
    ),
    "pact_signature": Rule(sees=_SEEN_PACT, adds=f"{_OWN} and {_SEEN_PACT}"),
    "pact_version": Rule(sees=_SEEN_PACT, adds=f"proposed_by = {_ME} and agreed_at is null and {_SEEN_PACT}"),
    "pact_week": Rule(sees=_SEEN_PACT),
    "pathway": Rule(sees=_OWN, adds=_OWN),
    "project": Rule(sees=_OWN, adds=_OWN, changes=_OWN),
    "pledge": Rule(sees=_OWN, adds=_OWN, changes=_OWN),
    "pledge_turn": Rule(sees=_SEEN_PLEDGE, adds=_SEEN_PLEDGE),
    "referral": Rule(sees=f"{_ME} in (poster_id, from_id, to_id)"),
    "preference": Rule(sees=f"exists (select from need n where n.id = need_id and n.{_OWN})"),
    "ride": Rule(sees=f"exists (select from need n where n.id = need_id and n.{_OWN})"),
    "practice": Rule(sees=f"{_OWN} or (state = 'told' and {_WORKS_SOMEWHERE})", adds=_OWN, changes=_OWN),
    "session": Rule(
        sees=_OWN,
        columns="id, organization_id, key_prefix, made_at, last_used_at, ends_at",
        adds=_OWN,
        changes=_OWN,
        deletes=_OWN,
    ),
    "shift": Rule(sees=f"{_SEEN_PLEDGE} or exists (select from site h where h.id = site_id)"),
    "site": Rule(sees=_OWN, adds=_OWN, changes=_OWN),
    "site_location": Rule(sees=_OWN_SITE, columns="site_id, has_address"),
    "slot": Rule(
        sees="exists (select from offer o where o.id = offer_id)"
        " or exists (select from allocation_slot k where k.slot_id = slot.id)",
        adds=_OWN_OFFER,
        changes=_OWN_OFFER,
        # Set aside: it keeps showing its times to those who were in it.
        changed_to=f"offer_id is null or {_OWN_OFFER}",
        deletes=_OWN_OFFER,
    ),
    "slot_staffing": Rule(
        sees="exists (select from slot s where s.id = slot_id)",
        changes=f"exists (select from slot s join offer o on o.id = s.offer_id where s.id = slot_id and o.{_OWN})",
    ),
    "webhook": Rule(sees=_OWN, adds=_OWN, changes=_OWN, deletes=_OWN),
    "webhook_delivery": Rule(sees=_OWN_WEBHOOK, adds=_OWN_WEBHOOK, changes=_OWN_WEBHOOK),
}
"""What the app role may do; a table that is not named, it does not even know."""

OPEN_TO_ALL: Final = ("category", "competence", "figure", "figure_period", "policy", "town", "town_name")
"""Tables that hold nothing of anybody: every role reads them, and only their owner changes them, but for what the
matcher is granted."""

_OF_THE_OPERATOR: Final = ("admission", "issuer")
"""Tables that no other role touches: what requests need of them, functions of their owner say."""
_MATCHER_READS: Final = ("organization", "organization_town")
MATCHER_GRANTS: Final[Mapping[str, str]] = {
    **{
        table: "select, insert, update, delete"
        for table in sorted(Row.metadata.tables)
        if table not in {*OPEN_TO_ALL, *_OF_THE_OPERATOR, "api_key", "site_location"}
    },
    **dict.fromkeys(_MATCHER_READS, "select"),
    # What was published is never changed.
    "figure": "select, insert",
    "figure_period": "select, insert, update",
    "site": "select, update (id)",
    "api_key": "select (id, organization_id, expires_at, revoked_at), update (id), delete",
    "session": "select (id, ends_at), update (id), delete",
    "site_location": "select (site_id), update (site_id), delete",
}
"""What the matcher may do, to any row; to lock one, it must be allowed to change a column. Of keys, sessions and exact
places it knows only which are to be deleted."""

REVEAL_GRANTS: Final[Mapping[str, str]] = {
    "site_location": "select, insert, update",
    "site": "select (id, organization_id)",
    "offer": "select (id, site_id)",
    "allocation": "select (offer_id, provider_id, poster_id, state, ends)",
}
"""What the reveal role may do; of exact places, to those of `_REVEALED` alone."""
_REVEALED: Final = f"""{_OWN_SITE} or exists (
    select from allocation a join offer o on o.id = a.offer_id
     where o.site_id = site_location.site_id and {_ME} in (a.provider_id, a.poster_id)
       and a.state in ('confirmed', 'arrived'))"""

_ACTING = """
    create or replace function acting_organization() returns uuid language sql stable parallel safe as $$
        select case when current_setting('relais.organization', true)
                         ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
                    then cast(current_setting('relais.organization', true) as uuid) end
    $$
"""
# Who shows a live key acts for its organization until the transaction ends: one statement finds it and says so. Its
# plan is kept from call to call, which that of a function in SQL is not.
_HOLDER = """
    create or replace function key_holder(asked text, shown bytea)
        returns table (organization_id uuid, kind text, scopes text[], expires_at timestamptz, towns int[])
        language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    begin
        return query with found as materialized (
            select o.id, o.kind, k.scopes, k.expires_at,
                   array(select t.town_id from organization_town t where t.organization_id = o.id) as towns
              from api_key k join organization o on o.id = k.organization_id
             where k.prefix = asked and k.digest = shown
               and k.revoked_at is null and k.expires_at > clock_timestamp()
        )
        select f.id, f.kind, f.scopes, f.expires_at, f.towns from found f
         where set_config('relais.organization', cast(f.id as text), true) is not null;
    end $$
"""
# The same for a browser that is signed in: its session and the key that it was made with must both live. That both are
# of one organization is asked again: who could add a row might name somebody else's key in it.
_SESSION_HOLDER = """
    create or replace function session_holder(shown bytea, idle interval)
        returns table (session_id uuid, last_used_at timestamptz, ends_at timestamptz, organization_id uuid, kind text,
                       scopes text[], expires_at timestamptz, towns int[], prefix text, digest bytea)
        language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    begin
        return query with found as materialized (
            select s.id as session_id, s.last_used_at, s.ends_at, o.id, o.kind, k.scopes, k.expires_at,
                   array(select t.town_id from organization_town t where t.organization_id = o.id) as towns,
                   k.prefix, k.digest
              from session s
              join api_key k on k.prefix = s.key_prefix and k.organization_id = s.organization_id
              join organization o on o.id = k.organization_id
             where s.digest = shown and s.ends_at > clock_timestamp() and s.last_used_at > clock_timestamp() - idle
               and k.revoked_at is null and k.expires_at > clock_timestamp()
        )
        select f.* from found f
         where set_config('relais.organization', cast(f.id as text), true) is not null;
    end $$
"""
# Who is about to sign in acts for nobody yet. Of issuers, a request is told what it asks them with; of admissions, whom
# keys that live admit.
_ISSUERS = """
    create or replace function issuers(asked uuid)
        returns table (id uuid, name text, url text, client_id text, secret bytea, scopes text[], also_at text[],
                       pkce boolean, asks_again boolean, admits boolean)
        language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
        select i.id, i.name, i.url, i.client_id, i.secret, i.scopes, i.also_at, i.pkce, i.asks_again,
               exists (select from admissions(i.id))
          from issuer i where asked is null or i.id = asked order by i.created_at, i.id
    $$
"""
_ADMISSIONS = """
    create or replace function admissions(asked uuid)
        returns table (id uuid, organization_id uuid, organization text, claim text, value text, prefix text,
                       digest bytea)
        language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
        select a.id, o.id, o.name, a.claim, a.value, k.prefix, k.digest
          from admission a
          join api_key k on k.prefix = a.key_prefix and k.organization_id = a.organization_id
          join organization o on o.id = a.organization_id
         where a.issuer_id = asked and k.revoked_at is null and k.expires_at > clock_timestamp()
         order by o.name, o.id, cardinality(k.scopes) desc, a.id
    $$
"""
# The marks are nobody's rows: requests are told what they say, and no more.
_STANDING_OF_FEED = """
    create or replace function feed_standing()
        returns table (fence xid8, purged_transaction xid8, purged_number bigint, era bigint)
        language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
        select pg_snapshot_xmin(pg_current_snapshot()), purged.transaction, purged.event_id, era.event_id
          from feed_mark purged cross join feed_mark era
         where purged.name = 'purged' and era.name = 'era'
    $$
"""
_FUNCTIONS: Final = (
    "acting_organization()",
    "key_holder(text, bytea)",
    "session_holder(bytea, interval)",
    "admissions(uuid)",
    "issuers(uuid)",
    "feed_standing()",
    "event_in_order()",
)
# Who starts asks whether the schema is there, and need not read the table for it.
_SCHEMA_VERSION = """
    create or replace function schema_version() returns text language sql stable security definer
        set search_path = pg_catalog, public, pg_temp as $$ select version_num from alembic_version $$
"""
_LATCH = 4_019_662_871_544_003
"""Advisory lock: of two who apply it to one database, the second finds it applied."""


def apply(connection: Connection) -> None:
    """Bring roles, owners, grants and row security in line with what is declared; nothing happens where they are.

    The user must be allowed to make roles, or they must be there with the user as a member.
    """
    statements = list(_statements())
    declared = sha256("\n".join(statements).encode()).hexdigest()
    connection.execute(text("select pg_advisory_xact_lock(:latch)"), {"latch": _LATCH})
    if connection.execute(_MARK).scalar_one_or_none() == _mark(connection, declared):
        return
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"comment on function acting_organization() is '{_mark(connection, declared)}'")


def is_applied(connection: Connection) -> bool:
    """Whether all stands as it is declared."""
    declared = sha256("\n".join(_statements()).encode()).hexdigest()
    return bool(connection.execute(_MARK).scalar_one_or_none() == _mark(connection, declared))


_MARK = text("select obj_description(to_regprocedure('acting_organization()'), 'pg_proc')")
# A backup that is restored where the roles were missing has the comment, and neither grants nor policies.
_STANDING = text("""
    with ours as (
        select oid from pg_class
         where relnamespace = cast('public' as regnamespace) and relname = any(cast(:names as text[]))
    )
    select md5(string_agg(line, e'\\n' order by line))
      from (select concat_ws(' ', relname, pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity, relacl)
              from pg_class where oid in (select oid from ours)
            union all
            select concat_ws(' ', attrelid, attname, attacl)
              from pg_attribute where attacl is not null and attrelid in (select oid from ours)
            union all
            select concat_ws(' ', tablename, policyname, permissive, roles, cmd, qual, with_check)
              from pg_policies where schemaname = 'public'
            union all
            select concat_ws(' ', proname, pg_get_userbyid(proowner), prosecdef, proconfig, proacl, prosrc)
              from pg_proc where oid in (select to_regprocedure(f) from unnest(cast(:functions as text[])) f)
            union all
            select concat_ws(' ', 'public', nspacl) from pg_namespace where nspname = 'public'
            union all
            select concat_ws(' ', rolname, pg_has_role(current_user, oid, 'usage'))
              from pg_roles where rolname = any(cast(:roles as text[]))) as standing (line)
""")


def _mark(connection: Connection, declared: str) -> str:
    """What is declared, and what the database makes of it now."""
    names = [*sorted(Row.metadata.tables), "round_id_seq"]
    standing = connection.execute(
        _STANDING, {"names": names, "roles": list(Role), "functions": ["schema_version()", *_FUNCTIONS]}
    ).scalar_one()
    return f"{declared} {standing}"


def _statements() -> Iterator[str]:
    yield from _make_roles()
    yield _ACTING
    yield _HOLDER
    yield _SESSION_HOLDER
    yield _ADMISSIONS
    yield _ISSUERS
    yield _STANDING_OF_FEED
    yield _SCHEMA_VERSION
    for function in _FUNCTIONS:
        yield f"alter function {function} owner to {Role.OWNER}"
    for function in _FUNCTIONS[1:]:
        yield f"revoke execute on function {function} from public"
    yield f"grant execute on function key_holder(text, bytea) to {Role.APP}"
    yield f"grant execute on function session_holder(bytea, interval) to {Role.APP}"
    yield f"grant execute on function admissions(uuid) to {Role.APP}"
    yield f"grant execute on function issuers(uuid) to {Role.APP}"
    yield f"grant execute on function feed_standing() to {Role.APP}, {Role.MATCHER}"
    for table in sorted(Row.metadata.tables):
        yield from _secure(table)
    # A round's number is taken before its row is written.
    yield f"grant usage on sequence round_id_seq to {Role.MATCHER}"


def _make_roles() -> Iterator[str]:
    for role in Role:
        yield f"""
            do $$ begin
                if not exists (select from pg_roles where rolname = '{role}') then
                    create role {role} nologin noinherit;
                end if;
            exception when duplicate_object or unique_violation then
                -- Roles belong to the whole server: another database of it was made at the same moment.
                null;
            end $$
        """
        # From PostgreSQL 16 on, who makes a role may give it away, and is a member that can use nothing of it.
        yield f"""
            do $$ begin
                if not pg_has_role(current_user, '{role}', 'usage') then
                    execute format('grant {role} to %I', current_user);
                end if;
            end $$
        """
        yield f"grant usage on schema public to {role}"
    yield f"grant create on schema public to {Role.OWNER}"


def _secure(table: str) -> Iterator[str]:
    yield f"alter table {table} owner to {Role.OWNER}"
    yield f"revoke all on {table} from public, {Role.APP}, {Role.MATCHER}, {Role.REVEAL}"
    if table in OPEN_TO_ALL:
        yield f"grant select on {table} to {Role.APP}, {Role.MATCHER}, {Role.REVEAL}"
        if table in MATCHER_GRANTS:
            yield f"grant {MATCHER_GRANTS[table]} on {table} to {Role.MATCHER}"
        return
    for command in ("enable", "force"):
        yield f"alter table {table} {command} row level security"
    yield from _policy(table, Role.OWNER, "all", "true", "true")
    if table in MATCHER_GRANTS:
        yield f"grant {MATCHER_GRANTS[table]} on {table} to {Role.MATCHER}"
        yield from _policy(table, Role.MATCHER, "all", "true", "true")
    if table in REVEAL_GRANTS:
        yield f"grant {REVEAL_GRANTS[table]} on {table} to {Role.REVEAL}"
        own = table == "site_location"
        yield from _policy(table, Role.REVEAL, "select", _REVEALED if own else "true", None)
        if own:
            yield from _policy(table, Role.REVEAL, "insert", None, _OWN_SITE)
            yield from _policy(table, Role.REVEAL, "update", _OWN_SITE, _OWN_SITE)
    rule = RULES.get(table, Rule())
    for command, using, check in (
        ("select", rule.sees, None),
        ("insert", None, rule.adds),
        ("update", rule.changes, rule.changed_to or rule.changes),
        ("delete", rule.deletes, None),
    ):
        if using or check:
            columns = f" ({rule.columns})" if rule.columns and command == "select" else ""
            yield f"grant {command}{columns} on {table} to {Role.APP}"
            yield from _policy(table, Role.APP, command, using, check)


def _policy(table: str, role: Role, command: str, using: str | None, check: str | None) -> Iterator[str]:
    name = f"{role.removeprefix('relais_')}_{command}"
    yield f"drop policy if exists {name} on {table}"
    conditions = f"{f' using ({using})' if using else ''}{f' with check ({check})' if check else ''}"
    yield f"create policy {name} on {table} for {command} to {role}{conditions}"
