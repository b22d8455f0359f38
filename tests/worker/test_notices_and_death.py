"""The real worker: from a hold to a mail, and never a second one where it is killed with the first in hand."""

import asyncio
import signal
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connection import transaction
from db.settings import Settings
from matching.states import AllocationState
from matching.vocabulary import OrganizationKind
from tests.builders import add_need, add_offer, add_organization
from tests.db.acts import answer, one, rows
from tests.forked import Running
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from tests.worker.mailbox import Mailbox, mailbox, subject_of
from tests.worker.noticing import ADDRESS, add_channel, all_notices, held


def written_in(folder: Path) -> str:
    """All that workers wrote."""
    return "".join(path.read_text() for path in folder.glob("worker-*.log"))


async def end(worker: Running) -> None:
    """Told to stop, it does so in order."""
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 30) == 0


async def test_a_hold_its_deadline_and_its_confirmation_are_told_by_the_worker(
    engine: AsyncEngine, settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    async with transaction(engine) as tx:
        provider = await add_organization(tx)
        poster = await add_organization(tx, OrganizationKind.COORDINATION, "Coordination")
        await add_offer(tx, provider)
        need = await add_need(tx, poster)
    await add_channel(engine, settings, provider)
    await add_channel(engine, settings, poster, "door@example.org")
    async with mailbox() as box:
        worker = start_worker(**box.environment)
        await mails(box, 1)
        allocation = (await one(engine, "select id from allocation where need_id = :need", need=need)).id
        await rows(
            engine,
            "update allocation set held_until = now() + interval '9 minutes', firm_from = now() - interval '1 hour'",
        )
        await mails(box, 2)
        await answer(engine, allocation, provider, AllocationState.CONFIRMED)
        await mails(box, 3)
        await end(worker)
        told = [(recipient, subject_of(mail)) for (recipient, _), mail in zip(box.taken, box.mails, strict=True)]
    assert told == [
        (ADDRESS, "Relais: Something awaits your answer."),
        (ADDRESS, "Relais: Something that awaits your answer is about to run out."),
        ("door@example.org", "Relais: Something is confirmed."),
    ]
    logs = await asyncio.to_thread(written_in, tmp_path)
    assert "worker.ready" in logs
    for word in (ADDRESS, "example.org", str(allocation), box.host + ":" + str(box.port)):
        assert word not in logs, word


async def mails(box: Mailbox, count: int) -> None:
    """So many were taken."""

    async def there() -> bool:
        return len(box.taken) >= count

    await eventually(there, f"{count} mails")


@pytest.mark.parametrize(("module", "arrives"), [("worker", 1), ("tests.worker.told_twice", 2)])
async def test_what_a_worker_that_was_killed_had_in_hand_is_not_told_again(
    engine: AsyncEngine, settings: Settings, start_worker: StartWorker, module: str, arrives: int, *, long: bool
) -> None:
    """The second is the control: where the guard is out, the same death has people told twice."""
    if module != "worker" and not long:
        pytest.skip("the control is of the long form")
    provider, _, _ = await held(engine)
    await add_channel(engine, settings, provider)
    killed: list[Running] = []

    def kill_first() -> str:
        if not killed:
            # It has said everything, and waits for our answer.
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            killed.append(first)
        return "250 OK"

    async with mailbox() as box:
        box.after_text = kill_first
        first = start_worker(module, **box.environment)
        await mails(box, 1)
        assert [each.state for each in await all_notices(engine)] == ["sending"]
        await rows(engine, "update notice set leased_until = now()")
        second = start_worker(module, **box.environment)

        async def settled() -> bool:
            return [each.state for each in await all_notices(engine)] != ["sending"]

        await eventually(settled, "it is looked at again")
        await mails(box, arrives)
        # Whatever it would still tell, it tells before it ends.
        await looked(engine, second)
        await end(second)
        told = [subject_of(mail) for mail in box.mails]
    assert told == ["Relais: Something awaits your answer."] * arrives + ["Relais: This is a test. Nothing awaits you."]
    assert [each.state for each in await all_notices(engine)] == ["lost" if arrives == 1 else "told"]


async def looked(engine: AsyncEngine, worker: Running) -> None:
    """The worker has looked again since now, and told all that it would."""
    assert worker.poll() is None
    await rows(engine, "update notice set settled_at = settled_at - interval '1 hour'")
    await rows(engine, "insert into notice (channel_id, happening) select id, 'test' from channel")

    async def told() -> bool:
        found = await rows(engine, "select state from notice where happening = 'test'")
        return [each.state for each in found] == ["told"]

    await eventually(told, "a test is told")
    await rows(engine, "delete from notice where happening = 'test'")
