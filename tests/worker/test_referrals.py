"""What referrals promise: a need that cannot be placed at home is passed on within pacts, and never lost on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import needs, pact_weeks, referrals, referring, stays
from db.bell import Bell
from db.connection import transaction
from db.invariants import broken
from db.pact_weeks import Week
from db.roles import Role
from db.settings import Settings
from matching.refusals import CannotKeepPlace, Conflict, NoLongerHeld
from matching.states import AllocationState
from matching.vocabulary import DeclineReason
from tests.acting import in_role
from tests.builders import TONIGHT, add_offer, add_organization, need_terms, tonight
from tests.db.acts import answer, hold, look_at_all_due, one, rows
from tests.pacts import MONDAY, add_pact
from tests.places import BRIANCON, GAP, MENTON, OULX
from tests.sharing import Towns, share
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from worker.upkeep import keep_up

EACH = {"acceptance": "each"}


@pytest.fixture
async def towns(engine: AsyncEngine, settings: Settings) -> Towns:
    return await share(engine, settings)


async def accept(towns: Towns, referral_id: UUID, who: UUID) -> None:
    async with transaction(towns.engine) as tx:
        await referrals.accept(tx, referral_id, who)


async def decline(towns: Towns, referral_id: UUID, who: UUID) -> None:
    async with transaction(towns.engine) as tx:
        await referrals.decline(tx, referral_id, who, DeclineReason.NO_STAFF)


async def test_with_standing_acceptance_who_finds_nothing_at_home_is_held_there_at_once(towns: Towns) -> None:
    await towns.pact()
    offer = await towns.places()
    need_id = await towns.need(people=4)
    await towns.work()
    assert await towns.state(need_id) == "held"
    placed = await one(towns.engine, "select offer_id, distance_km from allocation where need_id = :id", id=need_id)
    assert (placed.offer_id, placed.distance_km) == (offer, 0), "measured from the partner town"
    assert await towns.referrals(need_id) == [(GAP.id, 1, "placed", None)]
    week = await towns.week()
    assert (week.people, week.people_placed, week.referred, week.placed, week.accepted) == (4, 4, 1, 1, 0)


async def test_one_by_one_the_partner_is_asked_and_people_wait_at_home_until_it_answers(towns: Towns) -> None:
    await towns.pact(**EACH)
    await towns.places()
    need_id = await towns.need()
    await towns.work()
    assert (await towns.state(need_id), await towns.referrals(need_id)) == ("open", [(GAP.id, 1, "offered", None)])
    await accept(towns, await towns.newest(need_id), towns.gap)
    assert await towns.state(need_id) == "referred"
    await towns.work()
    assert await towns.state(need_id) == "held"


async def test_a_partner_that_declines_is_not_asked_again_and_the_next_one_is_at_once(towns: Towns) -> None:
    await towns.pact(**EACH)
    await towns.pact(MENTON, **EACH)
    await towns.places()
    await towns.places(MENTON)
    need_id = await towns.need(people=2)
    await towns.work()
    first = await towns.referrals(need_id)
    asked, who = (GAP, towns.gap) if first[0][0] == GAP.id else (MENTON, towns.menton)
    other = MENTON if asked is GAP else GAP
    await decline(towns, await towns.newest(need_id), who)
    assert (await towns.counted())[asked.id] == 0
    await towns.work()
    assert await towns.referrals(need_id) == [(asked.id, 1, "declined", "no_staff"), (other.id, 1, "offered", None)]
    assert await towns.counted() == {asked.id: 0, other.id: 2}


async def test_who_does_not_answer_in_time_frees_its_week_and_the_next_is_asked(towns: Towns) -> None:
    await towns.pact(**EACH)
    await towns.places()
    need_id = await towns.need(people=3)
    await towns.work()
    await rows(towns.engine, "update referral set answer_by = now()")
    await towns.work()
    assert await towns.referrals(need_id) == [(GAP.id, 1, "expired", None)]
    assert (await towns.counted(), await towns.state(need_id)) == ({GAP.id: 0}, "open")
    with pytest.raises(Conflict):
        await accept(towns, await towns.newest(need_id), towns.gap)


OUTSIDE: tuple[tuple[dict[str, object], dict[str, object]], ...] = (
    ({"categories": ["meal"]}, {}),
    ({"to_partner_per_week": 1}, {"people": 2}),
    ({}, {"max_km": 40}),
    ({}, {"people": 11}),
    ({"last_day": TONIGHT - timedelta(days=3)}, {}),
    ({"first_day": TONIGHT + timedelta(days=3)}, {}),
    ({}, {"window": tonight(first=TONIGHT + timedelta(days=5))}),
)
"""Terms of a pact, and of a need that is not referred under it."""


async def test_outside_of_the_terms_nobody_is_asked(towns: Towns) -> None:
    await towns.places(capacity=20)
    for terms, need in OUTSIDE:
        pact_id = await towns.pact(**terms)
        need_id = await towns.need(**need)
        await towns.work()
        assert (await towns.state(need_id), await towns.referrals(need_id)) == ("open", []), (terms, need)
        await rows(towns.engine, "update pact set state = 'ended', ended_at = now() where id = :id", id=pact_id)
        await rows(towns.engine, "update need set ended_at = now(), state = 'withdrawn' where id = :id", id=need_id)
    await towns.pact()
    need_id = await towns.need()
    await towns.work()
    assert len(await towns.referrals(need_id)) == 1, "the control"


async def test_nobody_is_referred_before_home_was_tried_for_as_long_as_the_policy_says(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await towns.need()
    await rows(towns.engine, "update need set posted_at = now()")
    await towns.work()
    assert await towns.referrals(need_id) == []
    await rows(towns.engine, "update need set posted_at = now() - interval '61 seconds'")
    await towns.work()
    assert len(await towns.referrals(need_id)) == 1


async def test_a_town_that_has_nothing_is_not_asked(towns: Towns) -> None:
    await towns.pact(**EACH)
    full = await towns.places(capacity=2)
    need_id = await towns.need(people=3)
    await towns.work()
    assert await towns.referrals(need_id) == []
    await rows(towns.engine, "update slot set capacity = 3 where offer_id = :id", id=full)
    await rows(towns.engine, "update need set refer_at = now()")
    await towns.work()
    assert len(await towns.referrals(need_id)) == 1


async def test_over_a_border_people_go_only_with_their_consent_and_under_a_pact_that_crosses_it(
    engine: AsyncEngine, towns: Towns
) -> None:
    """From Gap, Oulx lies farther than places are looked for at home."""
    async with transaction(engine) as tx:
        oulx = await add_organization(tx, name="Municipality of Oulx")
        await add_offer(tx, oulx, place=OULX)
        await add_pact(tx, (towns.gap, GAP), (oulx, OULX))
    stays_here = await towns.need(place=GAP)
    goes_over = await towns.need(place=GAP, countries=frozenset({"FR", "IT"}))
    await rows(engine, "update pact_version set crosses_border = false")
    await towns.work()
    assert await towns.referrals(goes_over) == []
    await rows(engine, "update pact_version set crosses_border = true")
    await rows(engine, "update need set refer_at = now()")
    await towns.work()
    assert await towns.referrals(goes_over) == [(OULX.id, 1, "placed", None)]
    assert await towns.referrals(stays_here) == []


async def test_between_partners_the_one_with_the_fewest_people_for_its_size_is_asked(towns: Towns) -> None:
    """Gap has a third more inhabitants than Menton."""
    await towns.pact(to_partner_per_week=50)
    await towns.pact(MENTON, to_partner_per_week=50)
    await towns.places(GAP, capacity=50)
    await towns.places(MENTON, capacity=50)
    went = []
    for _ in range(4):
        need_id = await towns.need(people=4)
        await towns.look()
        went.append((await towns.referrals(need_id))[0][0])
    assert went == [GAP.id, MENTON.id, GAP.id, MENTON.id]


async def test_from_a_partner_people_may_go_on_once_and_never_back_or_a_third_time(towns: Towns) -> None:
    await towns.pact()
    await towns.pact(MENTON, GAP)
    there = await towns.places()
    farther = await towns.places(MENTON)
    need_id = await towns.need(people=2)
    await towns.work()
    (first,) = await rows(towns.engine, "select id from allocation where need_id = :id", id=need_id)
    await answer(towns.engine, first.id, towns.gap, AllocationState.DECLINED)
    assert await towns.state(need_id) == "referred", "a place is looked for there still"
    await rows(towns.engine, "update offer set state = 'paused' where id = :id", id=there)
    await look_at_all_due(towns.engine)
    await rows(towns.engine, "update need set refer_at = now()")
    await towns.work()
    assert await towns.referrals(need_id) == [(GAP.id, 1, "returned", "passed_on"), (MENTON.id, 2, "placed", None)]
    assert await towns.counted() == {GAP.id: 0, MENTON.id: 2}
    (second,) = await rows(towns.engine, "select id from allocation where offer_id = :id", id=farther)
    await answer(towns.engine, second.id, towns.menton, AllocationState.DECLINED)
    await look_at_all_due(towns.engine)
    await rows(towns.engine, "update need set refer_at = now()")
    await rows(towns.engine, "update offer set state = 'open'")
    await towns.work()
    assert len(await towns.referrals(need_id)) == 2
    await rows(towns.engine, "update referral set return_by = now() where state = 'accepted'")
    await towns.work()
    assert (await towns.state(need_id), await towns.counted()) == ("open", {GAP.id: 0, MENTON.id: 0})


async def test_when_nothing_holds_there_in_time_people_are_looked_after_at_home_again(towns: Towns) -> None:
    await towns.pact()
    offer = await towns.places()
    need_id = await towns.need()
    await towns.look()
    await rows(towns.engine, "update offer set state = 'paused' where id = :id", id=offer)
    await towns.work()
    assert await towns.state(need_id) == "referred"
    await rows(towns.engine, "update need set deadline = now()")
    await rows(towns.engine, "update referral set return_by = now()")
    await towns.work()
    assert await towns.referrals(need_id) == [(GAP.id, 1, "returned", "nothing_there")]
    assert await towns.state(need_id) == "open"
    async with transaction(towns.engine) as tx:
        assert await broken(tx) == {}
    async with transaction(towns.engine) as tx:
        hall = await add_organization(tx)
        at_home = await add_offer(tx, hall, place=BRIANCON)
    await rows(towns.engine, "update need set look_at = now()")
    await hold(towns.engine, need_id)
    placed = await one(towns.engine, "select offer_id, distance_km from allocation where need_id = :id", id=need_id)
    assert (placed.offer_id, placed.distance_km) == (at_home, 0)


async def test_a_party_of_which_some_have_a_place_there_is_not_torn_apart_when_time_runs_out(towns: Towns) -> None:
    await towns.pact()
    for _ in range(2):
        await towns.places(capacity=2)
    need_id = await towns.need(people=4, divisible=True)
    await towns.work()
    assert await towns.state(need_id) == "held"
    first = (await rows(towns.engine, "select id from allocation order by id"))[0]
    await answer(towns.engine, first.id, towns.gap, AllocationState.DECLINED)
    await towns.look()
    await rows(towns.engine, "update referral set return_by = now()")
    await towns.look()
    assert await towns.state(need_id) == "referred"
    assert (await towns.referrals(need_id), await towns.counted()) == ([(GAP.id, 1, "accepted", None)], {GAP.id: 4})


async def test_who_lost_a_place_and_is_passed_on_before_anybody_looked_is_with_one_town_alone(towns: Towns) -> None:
    """The referral still says that they have a place there: it ends as well, and its week is free."""
    await towns.pact()
    await towns.places()
    need_id = await towns.need(people=2)
    await towns.work()
    await towns.pact(MENTON, GAP)
    await towns.places(MENTON)
    held = await one(towns.engine, "select id from allocation where need_id = :id and state = 'held'", id=need_id)
    await answer(towns.engine, held.id, towns.gap, AllocationState.DECLINED)
    async with transaction(towns.engine) as tx:
        await referring.ask(tx, need_id, towns.briancon, None)
    live = [state for _, _, state, _ in await towns.referrals(need_id) if state in ("accepted", "placed")]
    assert live == ["accepted"]
    assert (await towns.counted())[GAP.id] == 0
    async with transaction(towns.engine) as tx:
        assert await broken(tx) == {}


async def test_a_place_at_home_that_appears_first_is_taken_and_the_partner_is_free(towns: Towns) -> None:
    await towns.pact(**EACH)
    await towns.places()
    need_id = await towns.need()
    await towns.work()
    async with transaction(towns.engine) as tx:
        await add_offer(tx, await add_organization(tx), place=BRIANCON)
    await rows(towns.engine, "update need set look_at = now()")
    await hold(towns.engine, need_id)
    with pytest.raises(Conflict):
        await accept(towns, await towns.newest(need_id), towns.gap)
    await towns.work()
    assert await towns.referrals(need_id) == [(GAP.id, 1, "withdrawn", "placed_meanwhile")]
    assert await towns.counted() == {GAP.id: 0}


@pytest.mark.parametrize("terms", [EACH, {}], ids=["offered", "placed"])
async def test_a_need_that_is_withdrawn_frees_the_partners_week(towns: Towns, terms: dict[str, object]) -> None:
    await towns.pact(**terms)
    await towns.places()
    need_id = await towns.need(people=3)
    await towns.work()
    assert (await towns.counted())[GAP.id] == 3
    async with transaction(towns.engine) as tx:
        await needs.withdraw(tx, need_id, towns.briancon)
    assert await towns.referrals(need_id) == [(GAP.id, 1, "withdrawn", "need_ended")]
    assert await towns.counted() == {GAP.id: 0}


async def test_who_was_there_and_left_goes_on_counting(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await towns.need(people=3)
    await towns.work()
    await rows(towns.engine, "update allocation set state = 'arrived'")
    async with transaction(towns.engine) as tx:
        await needs.withdraw(tx, need_id, towns.briancon)
    assert await towns.counted() == {GAP.id: 3}


async def test_other_terms_withdraw_what_was_asked_and_it_is_asked_anew(towns: Towns) -> None:
    await towns.pact(**EACH)
    await towns.places()
    need_id = await towns.need(people=2)
    await towns.work()
    async with transaction(towns.engine) as tx:
        await stays.change(tx, need_id, towns.briancon, None, need_terms(people=5, max_km=500))
    assert await towns.referrals(need_id) == [(GAP.id, 1, "withdrawn", "need_changed")]
    await look_at_all_due(towns.engine)
    await towns.work()
    assert (await towns.referrals(need_id))[1] == (GAP.id, 1, "offered", None)
    assert await towns.counted() == {GAP.id: 5}


async def test_who_was_accepted_and_has_no_place_yet_comes_home_with_other_terms(towns: Towns) -> None:
    await towns.pact()
    await towns.places()
    need_id = await towns.need(people=2)
    await towns.look()
    async with transaction(towns.engine) as tx:
        await stays.change(tx, need_id, towns.briancon, None, need_terms(people=1, max_km=500))
        assert await broken(tx) == {}
    assert (await towns.state(need_id), await towns.counted()) == ("open", {GAP.id: 0})


async def test_a_party_that_grows_keeps_its_place_as_far_as_the_pact_goes(towns: Towns) -> None:
    await towns.pact(to_partner_per_week=5)
    offer = await towns.places(capacity=20)
    need_id = await towns.need(people=2)
    await towns.work()
    async with transaction(towns.engine) as tx:
        await stays.change(tx, need_id, towns.briancon, None, need_terms(people=5, max_km=500))
    await towns.work()
    assert (await towns.state(need_id), await towns.counted()) == ("held", {GAP.id: 5})
    with pytest.raises(Conflict):
        async with transaction(towns.engine) as tx:
            await stays.change(tx, need_id, towns.briancon, None, need_terms(people=6, max_km=500))
    assert await towns.counted() == {GAP.id: 5}
    placed = await one(towns.engine, "select offer_id, people from allocation where need_id = :id", id=need_id)
    assert (placed.offer_id, placed.people) == (offer, 5)
    async with transaction(towns.engine) as tx:
        assert await broken(tx) == {}


async def test_the_reasons_of_an_unmet_need_count_the_pacts_that_did_not_help(towns: Towns) -> None:
    await towns.pact(categories=["meal"])
    await towns.pact(MENTON)
    need_id = await towns.need()
    await rows(towns.engine, "update need set deadline = now()")
    await keep_up(in_role(towns.engine, Role.MATCHER), Bell(towns.settings))
    found = await one(towns.engine, "select state, unmet_reasons from need where id = :id", id=need_id)
    assert (found.state, found.unmet_reasons) == ("unmet", {"category": 0, "pact_category": 1, "pact_free": 1})
    # An unmet need is still referred when something appears.
    await towns.places(MENTON)
    await rows(towns.engine, "update need set refer_at = now()")
    await towns.work()
    assert await towns.state(need_id) == "held"


async def test_accepting_and_withdrawing_at_one_moment_end_in_one_of_both(towns: Towns, *, long: bool) -> None:
    await towns.pact(**EACH)
    await towns.places(capacity=50)
    for _ in range(20 if long else 3):
        need_id = await towns.need()
        await towns.look()
        referral_id = await towns.newest(need_id)

        async def withdraw(need_id: UUID = need_id) -> None:
            async with transaction(towns.engine) as tx:
                await needs.withdraw(tx, need_id, towns.briancon)

        ends = await asyncio.gather(accept(towns, referral_id, towns.gap), withdraw(), return_exceptions=True)
        assert all(end is None or isinstance(end, Conflict) for end in ends), ends
        assert await towns.referrals(need_id) == [(GAP.id, 1, "withdrawn", "need_ended")]
    assert await towns.counted() == {GAP.id: 0}


async def test_accepting_and_running_out_of_time_at_one_moment_end_in_one_of_both(towns: Towns, *, long: bool) -> None:
    await towns.pact(**EACH, to_partner_per_week=100)
    await towns.places(capacity=50)
    ended = set()
    for number in range(20 if long else 4):
        need_id = await towns.need()
        await towns.look()
        referral_id = await towns.newest(need_id)
        later = "interval '0.02 seconds'" if number % 2 else "interval '0'"
        await rows(
            towns.engine, f"update referral set answer_by = clock_timestamp() + {later} where id = :id", id=referral_id
        )
        await asyncio.gather(accept(towns, referral_id, towns.gap), towns.look(), return_exceptions=True)
        await towns.look()
        (referral,) = await towns.referrals(need_id)
        ended.add(referral[2])
        assert (await towns.state(need_id) == "referred") == (referral[2] == "accepted")
    live = await one(towns.engine, "select count(*) as n from referral where state in ('offered', 'accepted')")
    assert await towns.counted() == {GAP.id: live.n}
    assert ended <= {"accepted", "expired"}


async def test_two_who_look_at_once_never_pass_the_weekly_limit(towns: Towns) -> None:
    await towns.pact(to_partner_per_week=9)
    await towns.places(capacity=100)
    for _ in range(7):
        await towns.need(people=2)
    await asyncio.gather(*(towns.look() for _ in range(4)))
    assert await towns.counted() == {GAP.id: 8}
    states = [row.state for row in await rows(towns.engine, "select state from need order by state")]
    assert states == ["open"] * 3 + ["referred"] * 4


async def test_the_limit_is_kept_by_the_update_alone(towns: Towns) -> None:
    """The control: a week whose limit nobody guards is passed by those who take it side by side."""
    pact_id = await towns.pact()
    week = Week(pact_id, GAP.id, MONDAY)

    async def take(most: int) -> bool:
        async with transaction(towns.engine) as tx:
            return await pact_weeks.take(tx, week, 1, most)

    taken = await asyncio.gather(*(take(5) for _ in range(8)))
    assert sum(taken) == 5
    unguarded = await asyncio.gather(*(take(1_000_000) for _ in range(8)))
    assert sum(unguarded) == 8
    assert await towns.counted() == {GAP.id: 13}


async def test_a_week_always_counts_its_live_referrals_and_never_passes_its_limit(towns: Towns, *, long: bool) -> None:
    """Whatever is accepted, declined, withdrawn or runs out of time, in any order and side by side."""
    random = Random(2)  # noqa: S311 - the same each time
    for to in (GAP, MENTON):
        await towns.pact(to, to_partner_per_week=9, acceptance=random.choice(["each", "standing"]))
        await towns.places(to, capacity=15, nights=9)
    history: list[str] = []
    for _ in range(600 if long else 20):
        acts = [random.choice(ACTS) for _ in range(random.randint(1, 3))]
        history.append("+".join(act.__name__ for act in acts))
        await asyncio.gather(*(act(towns, random) for act in acts))
        async with transaction(towns.engine) as tx:
            assert await broken(tx) == {}, history
            passed = (await tx.execute(text("select count(*) from pact_week where people > 9"))).scalar_one()
            wrong = (await tx.execute(text(UNEQUAL))).all()
        assert (passed, wrong) == (0, []), history


UNEQUAL = """
    select * from (select pact_id, to_town_id, week, sum(case when state in ('offered', 'accepted', 'placed')
                                                              then adults + minors else 0 end) as people
                     from referral group by pact_id, to_town_id, week) live
      full join (select pact_id, to_town_id, week, people, referred,
                        accepted + placed + declined + expired + returned + withdrawn as answered from pact_week) w
          using (pact_id, to_town_id, week)
     where live.people is distinct from w.people or w.answered > w.referred
"""


async def post(towns: Towns, random: Random) -> None:
    await towns.need(people=random.randint(1, 4))


async def look(towns: Towns, _random: Random) -> None:
    await rows(
        towns.engine, "update need set refer_at = now() where state in ('open', 'referred') and ended_at is null"
    )
    await towns.work()


async def respond(towns: Towns, random: Random) -> None:
    waiting = await rows(towns.engine, "select id, to_id from referral where state = 'offered' order by id")
    if waiting:
        each = random.choice(waiting)
        with suppress(Conflict):
            await random.choice([accept, decline])(towns, each.id, each.to_id)


async def withdraw_one(towns: Towns, random: Random) -> None:
    living = await rows(towns.engine, "select id from need where ended_at is null order by id")
    if living:
        async with transaction(towns.engine) as tx:
            await needs.withdraw(tx, random.choice(living).id, towns.briancon)


async def change_one(towns: Towns, random: Random) -> None:
    living = await rows(towns.engine, "select id from need where ended_at is null order by id")
    if living:
        with suppress(Conflict, CannotKeepPlace):
            async with transaction(towns.engine) as tx:
                window = tonight(first=TONIGHT + timedelta(days=random.choice([0, 7])))
                terms = need_terms(people=random.randint(1, 4), max_km=random.choice([20, 500, 500]), window=window)
                await stays.change(tx, random.choice(living).id, towns.briancon, None, terms)


async def refuse_one(towns: Towns, random: Random) -> None:
    held = await rows(towns.engine, "select id, provider_id from allocation where state = 'held' order by id")
    if held:
        each = random.choice(held)
        with suppress(NoLongerHeld):
            await answer(towns.engine, each.id, each.provider_id, AllocationState.DECLINED)


async def run_out(towns: Towns, _random: Random) -> None:
    await rows(towns.engine, "update referral set answer_by = now() where state = 'offered'")
    await rows(towns.engine, "update referral set return_by = now() where state = 'accepted'")
    await towns.look()


ACTS: Sequence[Callable[[Towns, Random], Awaitable[None]]] = (
    *(post, post, post, look, look, respond, respond, withdraw_one, change_one, refuse_one, run_out),
)


async def test_workers_place_everybody_whom_a_partner_takes_and_no_more(
    towns: Towns, start_worker: StartWorker, *, long: bool
) -> None:
    """One real worker; with `--long` three."""
    await towns.pact(to_partner_per_week=4)
    await towns.places(capacity=100, confirmation="standing")
    for _ in range(3):
        await towns.need(people=2)
    for _ in range(3 if long else 1):
        start_worker(RELAIS_POLL_SECONDS="0.2")

    async def done() -> bool:
        found = await rows(towns.engine, "select state, refer_at from need")
        waiting = [row for row in found if row.state == "open" and row.refer_at is not None]
        placed = await rows(towns.engine, "select id from referral where state = 'placed'")
        return (len(waiting), len(placed), [row.state for row in found].count("confirmed")) == (1, 2, 2)

    await eventually(done, "two parties are placed there, one waits at home")
    assert await towns.counted() == {GAP.id: 4}
