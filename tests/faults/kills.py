"""Faults of processes: killed as by the kernel, or stopped for a moment as on a machine that swaps."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP
from time import monotonic

from relais.embedded.processes import last_lines, running_in
from relais.processes import Child
from tests.api.bodies import need_body
from tests.faults.checker import overdue
from tests.faults.house import House, Member
from tests.faults.load import Load
from tests.waiting import eventually

__all__ = ["KINDS", "Recovery", "draw", "kill", "recovered", "start_again", "strike"]

KINDS = ("api", "worker", "redis", "postgres", "a backend", "the whole cluster", "a stop")
"""What may be done; a stop is of any of the four."""
_WEIGHTS = (4, 4, 3, 4, 2, 2, 5)
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Recovery:
    """What was done, and the seconds from when everybody was started again to the first answer."""

    kind: str
    seconds: float


async def strike(house: House, load: Load, chance: Random, kind: str) -> Recovery:
    """Do one thing to a house that works, start again what died of it, and wait until it answers."""
    await asyncio.sleep(chance.uniform(0.1, 0.6))
    if kind == "a stop":
        await _stop(chance.choice(house.members), chance.uniform(0.2, 2.0))
    else:
        await kill(house, kind, chance)
        await asyncio.sleep(chance.uniform(0, 0.5))
    begun = monotonic()
    await start_again(house)
    posted = await load.post_need(need_body(requires=["pets"]))  # which nobody provides
    assert posted.acknowledged, posted.attempts
    return Recovery(kind, monotonic() - begun)


async def recovered(house: House) -> float:
    """Wait until every need that is due at this moment was looked at; the seconds that it took."""
    begun = monotonic()
    connection = await house.look()
    try:
        now = await connection.fetchval("select clock_timestamp()")

        async def all_looked_at() -> bool:
            return await overdue(connection, now) == 0

        await eventually(all_looked_at, "all were looked at", _PATIENCE_SECONDS)
    finally:
        await connection.close()
    return monotonic() - begun


def draw(chance: Random, count: int) -> list[str]:
    """What is to be done, `count` times: everything at least once, in any order."""
    drawn = [*KINDS, *chance.choices(KINDS, _WEIGHTS, k=count - len(KINDS))]
    chance.shuffle(drawn)
    return drawn


async def start_again(house: House) -> None:
    """Start what is down."""
    for member in house.members:
        if member.ending() is None:
            continue
        if isinstance(member, Child):
            # It ends with the thread that starts it, and those of the loop end with the test; the house does not.
            member.start_again()
        else:
            await asyncio.to_thread(member.start_again)


async def _stop(member: Member, seconds: float) -> None:
    pid = _running(member)
    os.kill(pid, SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, SIGCONT)


async def kill(house: House, kind: str, chance: Random) -> None:
    """Kill what is named, and wait until it is gone."""
    named: Mapping[str, Member] = {"api": house.api, "worker": house.worker, "redis": house.redis}
    member = named.get(kind, house.postgres)
    pid = _running(member)
    cluster = [pid, *(each for each in running_in(house.cluster / "data") if each != pid)]
    victims = {"the whole cluster": cluster, "a backend": [chance.choice(cluster[1:])]}.get(kind, [pid])
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, SIGKILL)
    if pid in victims:
        await eventually(lambda: _ended(member), f"{member.name} has ended", _PATIENCE_SECONDS)


def _running(member: Member) -> int:
    """Its process. That it ended by itself is a fault of the house, told with its last words."""
    pid = member.pid
    said = last_lines(Path(member.log_file).read_text()) if pid is None else ""
    assert pid is not None, f"{member.name} has ended by itself ({member.ending()}). Its last words:\n{said}"
    return pid


async def _ended(member: Member) -> bool:
    return member.ending() is not None
