"""A worker that is killed between telling and writing down: told again, under the same id; and nothing in its log."""

import asyncio
import signal
from pathlib import Path
from uuid import uuid4

import trustme
from sqlalchemy.ext.asyncio import AsyncEngine

from db.settings import Settings
from tests.db.acts import one, rows
from tests.forked import Running
from tests.waiting import eventually
from tests.worker.conftest import StartWorker
from tests.worker.hooks import add_hook, happen, waiting
from tests.worker.receiver import TAKEN, Answer, Told, receiving
from tests.worker.verifying import Message, by_pypi


def written_in(folder: Path) -> str:
    """All that workers wrote."""
    return "".join(path.read_text() for path in folder.glob("worker-*.log"))


async def test_what_was_told_by_a_worker_that_was_killed_is_told_again_under_the_same_id(
    engine: AsyncEngine, settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    killed: list[Running] = []

    def start() -> Running:
        return start_worker("tests.worker.open_way", str(tmp_path / "ca.pem"))

    async def kill_first(_told: Told) -> Answer:
        if not killed:
            # It has said everything, and waits for our answer.
            worker.send_signal(signal.SIGKILL)
            await asyncio.to_thread(worker.wait, 10)
            killed.append(worker)
        return TAKEN

    async with receiving(authority) as receiver:
        receiver.answer = kill_first
        hook = await add_hook(engine, settings, receiver.url)
        await happen(engine, hook.organization_id, uuid4())
        worker = start()

        async def dead() -> bool:
            return bool(killed)

        await eventually(dead, "the worker was killed")
        (held,) = await waiting(engine)
        still = await one(engine, "select leased_until > now() as held from webhook_delivery")
        assert still.held, "nobody else tells it before its lease is over"
        await rows(engine, "update webhook_delivery set leased_until = now()")
        other = start()

        async def taken() -> bool:
            return not await waiting(engine)

        await eventually(taken, "it is taken")
        other.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(other.wait, 30) == 0
    assert [told.id for told in receiver.told] == [str(held.event_id)] * 2
    assert by_pypi([Message.of(told, hook.secret()) for told in receiver.told]) == [True, True]
    logs = await asyncio.to_thread(written_in, tmp_path)
    assert "worker.ready" in logs
    for word in ("hooks.example.org", '/relais"', "whsec_", hook.secret(), str(held.object_id)):
        assert word not in logs, word
