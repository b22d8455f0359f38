"""Webhooks: events are laid out for them and told, signed as in Standard Webhooks, until they are taken.

At least once: what was taken may be told again where the worker died before it could write that down, under the same
`webhook-id`. Nothing of an address, a secret or an answer is ever logged.
"""

import asyncio
import json
from asyncio import Task
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from secrets import SystemRandom
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks.webhooks import Webhook

from db import deliveries
from db.connection import transaction
from db.deliveries import Claim, Failure
from db.laying_out import lay_out
from db.settings import Keys
from db.webhook_keys import WebhookKeys
from matching.delivering import Trouble
from worker.outbound import Answered, NotAnswered, Outbound

__all__ = ["Webhooks", "asked_pause", "body_of", "signed"]

_AT_ONCE: Final = 500
_BETWEEN_LOOKS: Final = 0.5
_LAST_WORDS: Final = 5.0
"""Seconds that what is being told has when the worker is asked to end; what is not done then is told again."""
_LONGEST_PAUSE: Final = timedelta(days=365)
_log = structlog.get_logger()
_lots = SystemRandom()


class Webhooks:
    """Tells webhooks of events, so many at the same time."""

    def __init__(self, engine: AsyncEngine, keys: Keys, outbound: Outbound, side_by_side: int) -> None:
        self._engine = engine
        self._event_key = keys.of("event")
        self._keys = WebhookKeys.of(keys)
        self._outbound = outbound
        self._most = side_by_side
        self._telling: set[Task[None]] = set()

    async def look(self) -> float:
        """Lay out what happened, begin to tell what is due. In how many seconds to look again."""
        await self._lay_out()
        free = self._most - len(self._telling)
        claimed: list[Claim] = []
        if free:
            async with transaction(self._engine) as tx:
                claimed = await deliveries.claim(tx, free)
        self._telling |= {asyncio.create_task(self._tell(each)) for each in claimed}
        if not self._telling:
            return _BETWEEN_LOOKS
        # Whoever took an event may have the next one of its object at once.
        done, _ = await asyncio.wait(self._telling, timeout=_BETWEEN_LOOKS, return_when=asyncio.FIRST_COMPLETED)
        self._telling -= done
        return 0.0

    async def leave(self) -> None:
        """End in order: what is being told is waited for, for a moment."""
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=_LAST_WORDS)
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            self._telling.clear()

    async def _lay_out(self) -> None:
        more = True
        while more:
            async with transaction(self._engine) as tx:
                more = await lay_out(tx, self._event_key, _AT_ONCE)

    async def _tell(self, claimed: Claim) -> None:
        try:
            answered = await self._send(claimed)
            async with transaction(self._engine) as tx:
                if isinstance(answered, Failure):
                    await deliveries.put_off(tx, claimed, answered, _lots.random())
                elif answered is HTTPStatus.GONE:
                    await deliveries.disable_gone(tx, claimed)
                else:
                    await deliveries.taken(tx, claimed)
        except (SQLAlchemyError, OSError) as error:
            # Its lease ends, and it is told again.
            _log.warning("webhooks.database_away", exception=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one delivery must not end the others
            _log.error("webhooks.delivery_broke", exception=type(error).__name__)

    async def _send(self, claimed: Claim) -> HTTPStatus | Failure:
        """Success, `GONE`, or what came of it instead."""
        try:
            url = self._keys.open(claimed.webhook_id, claimed.sealed_url)
        except ValueError:
            # Sealed under another secret file: nobody is there to be told.
            return Failure(Trouble.UNREACHABLE)
        body = body_of(claimed)
        secrets = [self._keys.secret(claimed.webhook_id, each) for each in claimed.generations]
        headers = signed(claimed, body, secrets, datetime.now(UTC))
        try:
            answered = await self._outbound.post(url, headers, body.encode())
        except NotAnswered as none:
            return Failure(none.trouble)
        if 200 <= answered.status < 300:
            return HTTPStatus.OK
        if answered.status == HTTPStatus.GONE:
            return HTTPStatus.GONE
        return Failure(Trouble.REFUSED, answered.status, asked_pause(answered, datetime.now(UTC)))


def body_of(claimed: Claim) -> str:
    """What is told: the event as the feed tells it, in the envelope of Standard Webhooks."""
    at = claimed.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    event = {
        "id": str(claimed.event_id),
        "kind": claimed.kind,
        "object_id": str(claimed.object_id),
        "at": at,
        "facts": dict(claimed.facts),
    }
    return json.dumps({"type": claimed.kind, "timestamp": at, "data": event}, separators=(",", ":"))


def signed(claimed: Claim, body: str, secrets: list[str], now: datetime) -> dict[str, str]:
    """The headers of one attempt: each secret signs, the newest first."""
    event_id = str(claimed.event_id)
    return {
        "Content-Type": "application/json",
        "User-Agent": "Relais",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, now, body) for secret in secrets),
    }


def asked_pause(answered: Answered, now: datetime) -> timedelta | None:
    """The pause that an answer asks for (`Retry-After`, RFC 9110 § 10.2.3), in seconds or as a date; else nothing."""
    written = (answered.retry_after or "").strip()
    if written.isascii() and written.isdigit() and len(written) < 10:
        return min(timedelta(seconds=int(written)), _LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(written)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta())
