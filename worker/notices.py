"""Notifications: what waits is laid out for the channels of its organization, and told, once, in a few words.

Never twice, so perhaps not at all: a worker that dies while it tells leaves a notice of which nobody knows whether it
arrived. Nothing of an address or an answer is ever logged.
"""

import asyncio
import json
import os
import sys
from asyncio import Task
from asyncio.subprocess import Process
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import notices
from db.connection import transaction
from db.notices import Claim
from db.sealing import Sealing
from matching.notifying import MAIL, Fault, HostPort, NoticeState, host_in_the_clear, kind_of_address
from web.notices import NoticeText, notice_text
from worker.mail import MailServer, send_mail

__all__ = ["Notices", "Tellers"]

_BETWEEN_LOOKS: Final = 1.0
_SIDE_BY_SIDE: Final = 8
"""Messages in hand at the same time, at most one of each organization: who answers slowly delays itself. By Apprise,
each is a process of some 50 MB."""
_LAST_WORDS: Final = 10.0
"""Seconds that what is being told has when the worker is asked to end: what is not done then counts as lost."""
_PATIENCE: Final = 30.0
_MARGIN: Final = 30.0
"""Seconds that the process has beside those of its service, to begin and to end."""
_log = structlog.get_logger()


@dataclass(frozen=True)
class Tellers:
    """The ways by which this house tells: its mail server, hosts that its operator named, and its own address.

    A service has `patience` seconds to take a message.
    """

    mail: MailServer | None
    hosts: frozenset[HostPort]
    public_url: str | None
    patience: float = _PATIENCE
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_SIDE_BY_SIDE, "mail"), repr=False)
    """For mail, apart from those of the rest: a mail server that hangs must not keep the matching from thinking."""

    async def tell(self, address: str, words: NoticeText) -> Fault | None:
        """Tell somebody; what came in its way, nothing where it was taken."""
        if kind_of_address(address) == MAIL:
            if self.mail is None:
                return Fault.NOT_SET_UP
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.threads, send_mail, self.mail, address, words.subject, words.body)
        clear = host_in_the_clear(address)
        if clear is not None and clear not in self.hosts:
            return Fault.NOT_SET_UP
        return await self._by_apprise(address, words.body)

    async def _by_apprise(self, address: str, body: str) -> Fault | None:
        """In a process of its own (`worker.apprised`), which inherits neither our secrets nor anybody's proxies."""
        given = {"url": address, "body": body, "permitted": sorted(self.hosts), "seconds": self.patience}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "worker.apprised"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SSL_CERT_FILE") if name in os.environ},
            )
        except OSError as error:
            # Nobody was asked anything: too little memory, too many files.
            _log.error("notices.no_process", exception=type(error).__name__)
            return Fault.UNREACHABLE
        return await _word_of(process, json.dumps(given).encode(), self.patience + _MARGIN)


async def _word_of(process: Process, given: bytes, seconds: float) -> Fault | None:
    try:
        async with asyncio.timeout(seconds):
            printed, _ = await process.communicate(given)
    except TimeoutError:
        return Fault.UNSURE
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    word = printed.decode(errors="replace").strip().rpartition("\n")[2]
    if word == "told":
        return None
    # Whoever ended without a word may have told.
    return Fault(word) if word in set(Fault) else Fault.UNSURE


class Notices:
    """Tells channels, a few at the same time."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, tellers: Tellers, registry: CollectorRegistry) -> None:
        self._engine = engine
        self._sealing = sealing
        self._tellers = tellers
        self._telling: set[Task[None]] = set()
        self._counted = Counter(
            "relais_notices",
            "Messages to channels, by what they told of and how that ended.",
            ["happening", "end"],
            registry=registry,
        )

    async def look(self) -> float:
        """Lay out what there is to tell, begin to tell what may be told now. In how many seconds to look again."""
        async with transaction(self._engine) as tx:
            lost = await notices.give_up_lost(tx)
            await notices.lay_out(tx)
        for happening in lost:
            _log.warning("notices.lost")
            self._counted.labels(happening.value, NoticeState.LOST.value).inc()
        self._telling = {task for task in self._telling if not task.done()}
        free = _SIDE_BY_SIDE - len(self._telling)
        if free:
            async with transaction(self._engine) as tx:
                claimed = await notices.claim(tx, free)
            self._telling |= {asyncio.create_task(self._tell(each)) for each in claimed}
        return _BETWEEN_LOOKS

    async def leave(self) -> None:
        """End in order: what is being told is waited for, for a moment."""
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=_LAST_WORDS)
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            self._telling.clear()

    async def _tell(self, claimed: Claim) -> None:
        try:
            fault = await self._attempt(claimed)
            async with transaction(self._engine) as tx:
                if fault is None:
                    await notices.told(tx, claimed)
                    end = NoticeState.TOLD
                else:
                    end = await notices.not_told(tx, claimed, fault)
            self._counted.labels(claimed.happening.value, end.value).inc()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("notices.database_away", exception=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            _log.error("notices.telling_broke", exception=type(error).__name__)

    async def _attempt(self, claimed: Claim) -> Fault | None:
        try:
            address = self._sealing.open(claimed.channel_id, claimed.sealed)
        except ValueError:
            return Fault.UNUSABLE
        if kind_of_address(address) is None:
            # Allowed when it was added, and not any more.
            return Fault.UNUSABLE
        words = notice_text(claimed.happening.value, claimed.language, self._tellers.public_url)
        return await self._tellers.tell(address, words)
