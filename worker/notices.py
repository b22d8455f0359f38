"""Notifications: what waits is laid out for the channels of its organization, and told, once, in a few words.

Never twice, so perhaps not at all: a worker that dies while it tells leaves a notice of which nobody knows whether it
arrived. Nothing of an address or an answer is ever logged.
"""

import asyncio
import json
import os
import sys
from asyncio import Task
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import notices
from db.connection import transaction
from db.notices import Claim
from db.sealing import Sealing
from matching.notifying import MAIL, Fault, host_in_the_clear, kind_of_address
from web.notices import NoticeText, notice_text
from worker.mail import MailServer, send_mail

__all__ = ["Notices", "Tellers"]

_BETWEEN_LOOKS: Final = 1.0
_SIDE_BY_SIDE: Final = 4
_LAST_WORDS: Final = 10.0
"""Seconds that what is being told has when the worker is asked to end: what is not done then counts as lost."""
_WHOLE_SECONDS: Final = 60.0
_log = structlog.get_logger()


@dataclass(frozen=True)
class Tellers:
    """The ways by which this house tells: its mail server, hosts that its operator named, and its own address."""

    mail: MailServer | None
    hosts: frozenset[str]
    public_url: str | None

    async def tell(self, address: str, words: NoticeText) -> Fault | None:
        """Tell somebody; what came in its way, nothing where it was taken."""
        if kind_of_address(address) == MAIL:
            if self.mail is None:
                return Fault.NOT_SET_UP
            return await asyncio.to_thread(send_mail, self.mail, address, words.subject, words.body)
        clear = host_in_the_clear(address)
        if clear is not None and clear not in self.hosts:
            return Fault.NOT_SET_UP
        return await _by_apprise(address, words.body, self.hosts)


async def _by_apprise(address: str, body: str, hosts: frozenset[str]) -> Fault | None:
    """In a process of its own (`worker.apprised`), which inherits neither our secrets nor anybody's proxies."""
    given = json.dumps({"url": address, "body": body, "permitted": sorted(hosts)}).encode()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "worker.apprised"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SSL_CERT_FILE") if name in os.environ},
    )
    try:
        async with asyncio.timeout(_WHOLE_SECONDS):
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
        if lost:
            _log.warning("notices.lost")
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
                    end = "told"
                else:
                    end = await notices.not_told(tx, claimed, fault)
            self._counted.labels(claimed.happening.value, end).inc()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("notices.database_away", exception=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            _log.error("notices.telling_broke", exception=type(error).__name__)

    async def _attempt(self, claimed: Claim) -> Fault | None:
        try:
            address = self._sealing.open(claimed.channel_id, claimed.sealed)
        except ValueError:
            return Fault.UNUSABLE
        words = notice_text(claimed.happening.value, claimed.language, self._tellers.public_url)
        return await self._tellers.tell(address, words)
