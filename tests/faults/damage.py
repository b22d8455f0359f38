"""Damage done by hand, one kind for each thing that the judge looks for, in SQL of the operator's."""

from dataclasses import dataclass

__all__ = ["DAMAGES", "Damage"]


@dataclass(frozen=True)
class Damage:
    """Statements that spoil one thing, and how the judge begins to say so."""

    statements: tuple[str, ...]
    said: str


_AN_ANSWERED = """(
    select id from allocation
     where state = 'confirmed'
       and exists (select from event where object_id = allocation.id and kind = 'allocation.held')
     order by id limit 1
)"""
_A_NEED = "(select id from need where state = 'open' order by id limit 1)"
DAMAGES = {
    "a need is gone": Damage((f"delete from need where id = {_A_NEED}",), "an acknowledged need is lost"),
    "a need is there twice": Damage(
        (
            """
            do $$ begin execute (
                select format('insert into need (id, %1$s) select gen_random_uuid(), %1$s from need limit 1',
                              string_agg(quote_ident(attname), ', '))
                  from pg_attribute
                 where attrelid = 'need'::regclass and attnum > 0 and not attisdropped and attgenerated = ''
                   and attname not in ('id', 'slip')); end $$
            """,
        ),
        "needs were posted twice",
    ),
    "a confirmation is gone": Damage(
        (
            f"delete from event where kind = 'allocation.confirmed' and object_id = {_AN_ANSWERED}",
            f"update allocation set state = 'held' where id = {_AN_ANSWERED}",
        ),
        "an acknowledged act is lost: confirm",
    ),
    "a withdrawal is gone": Damage(
        ("delete from event where kind = 'need.withdrawn'",), "an acknowledged act is lost: withdraw"
    ),
    "a pause is gone": Damage(("delete from event where kind = 'offer.paused'",), "an acknowledged act is lost: pause"),
    "an offer was paused once more": Damage(
        (
            """
            insert into event (kind, object_id, organizations)
            select word, id, '{}' from offer, unnest(array['offer.paused', 'offer.resumed']) as word
            """,
        ),
        "an act was done twice: pause",
    ),
    "a fact is told twice": Damage(
        (
            f"""
            insert into event (kind, object_id, organizations)
            select kind, object_id, '{{}}' from event where object_id = {_AN_ANSWERED} and kind like '%.confirmed'
            """,
        ),
        "allocation ",
    ),
    "a state is reached by no way": Damage(
        (f"update event set kind = 'allocation.expired' where object_id = {_AN_ANSWERED} and kind like '%.held'",),
        "allocation ",
    ),
    "a state was never told": Damage(
        (f"update need set state = 'withdrawn', ended_at = now() where id = {_A_NEED}",), "need "
    ),
    "a counter is too high": Damage(
        ("update slot set used = used + 1 where id = (select id from slot where used < capacity limit 1)",), "slot "
    ),
    "a slot is over its capacity": Damage(
        (
            "alter table slot drop constraint slot_used_check",
            "update slot set capacity = used - 1 where id = (select id from slot where used > 0 limit 1)",
        ),
        "slot ",
    ),
    "a party is placed twice": Damage(
        (f"update allocation set people = 2 * people where id = {_AN_ANSWERED}",), "a party has more places than people"
    ),
    "places are kept by who left": Damage(
        (
            """
            update allocation_slot set taken = true
             where allocation_id in (select id from allocation where state in ('declined', 'released'))
            """,
        ),
        "a place is taken by what is over",
    ),
    "an answer is forgotten": Damage(
        ("delete from idempotency where key = (select key from idempotency limit 1)",), "answers are kept for"
    ),
    "a capacity is forgotten": Damage(("update slot set version = 0",), "an acknowledged capacity is lost"),
    "the audit is doubled": Damage(
        (
            f"""
            insert into audit_pending (organization_id, role, scope, act, objects)
            values (gen_random_uuid(), '', '', 'POST /v1/needs', array[{_A_NEED}])
            """,
        ),
        "the audit has 2 acts",
    ),
    "a need is parked": Damage(
        (f"update need set parked_at = now() where id = {_A_NEED}",), "a need is looked at no more"
    ),
    "an answer has no reasons": Damage(
        (f"update need set state = 'unmet', unmet_reasons = null where id = {_A_NEED}",),
        "a need has stayed unmet without reasons",
    ),
    "a hold never ends": Damage(
        ("update allocation set held_until = now() - interval '1 hour' where state = 'held'",),
        "a hold goes on beyond its time",
    ),
    "a need waits for ever": Damage(
        (f"update need set deadline = now() - interval '1 hour' where id = {_A_NEED}",),
        "an open need is beyond its deadline",
    ),
}
"""By what was done."""
