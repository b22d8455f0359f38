"""How an issuer is asked: one request over TLS, nothing followed, nothing kept, and no more read than an answer has.

Nothing is taken from the environment but which certificates are good (`SSL_CERT_FILE`), and no proxy is used.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final

import httpcore

__all__ = ["Answered", "Asking", "NoAnswer", "Trouble"]

_MOST_BYTES: Final = 256_000
_TOO_MANY: Final = 429
_BROKEN: Final = 500


class Trouble(StrEnum):
    """Why an issuer vouched for nobody."""

    SLOW = "slow"
    UNREACHABLE = "unreachable"
    INSECURE = "insecure"
    BUSY = "busy"
    """Too many ask at once."""
    REFUSED = "refused"
    """It answered that it will not, or sent elsewhere."""
    AILING = "ailing"
    """It answered that it cannot now, or that too many ask it."""
    NONSENSE = "nonsense"
    """What came is no such answer, or is too large for one."""
    ANOTHER = "another"
    """Its document is that of another issuer."""
    ELSEWHERE = "elsewhere"
    """Its document names a host that is not of its registration."""
    TOO_LATE = "too_late"
    """It knows the code no more: it was used, or is too old."""
    NOT_ASKED = "not_asked"
    """It knew somebody from before, and did not ask them again as it was to."""
    UNTRUE = "untrue"
    """What it said of somebody is not proved, or not said to this house, now, of this very question."""


class NoAnswer(Exception):  # noqa: N818 - what came of a question
    """Nobody is vouched for, and why. It carries nothing of what was said."""

    def __init__(self, trouble: Trouble, host: str = "") -> None:
        super().__init__(trouble)
        self.trouble = trouble
        self.host = host
        """The origin that is not of the registration, where that is the trouble."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, read whole."""

    status: int
    media_type: str
    content: bytes = field(repr=False)

    @property
    def refusal(self) -> Trouble:
        """What it is where it is not right: for now (429, 500 and above), or for good."""
        return Trouble.AILING if self.status == _TOO_MANY or self.status >= _BROKEN else Trouble.REFUSED

    def parsed(self) -> dict[str, object]:
        """The JSON object in it. Raises `NoAnswer`."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            raise NoAnswer(Trouble.NONSENSE) from None
        if not isinstance(found, dict):
            raise NoAnswer(Trouble.NONSENSE)
        return found


@cache
def _usual_trust() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


@dataclass(frozen=True)
class Asking:
    """Asks one question at a time. `trust` is put in by tests alone; `seconds` are those of one answer, whole."""

    trust: ssl.SSLContext | None = None
    seconds: float = 6.0

    async def ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes = b"") -> Answered:
        """The whole answer, whatever its status. Raises `NoAnswer`."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._ask(method, url, headers, content)
        except (TimeoutError, httpcore.TimeoutException):
            raise NoAnswer(Trouble.SLOW) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            raise NoAnswer(_trouble(error)) from None

    async def get(self, url: str, accept: str = "application/json", **headers: str) -> Answered:
        """What stands there. Raises `NoAnswer`, also for any status but 200."""
        answered = await self.ask("GET", url, {"Accept": accept, **headers})
        if answered.status != 200:
            raise NoAnswer(answered.refusal)
        return answered

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> Answered:
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self.trust or _usual_trust(), max_keepalive_connections=0
            ) as connections,
            connections.stream(method, url, headers=list(headers.items()), content=content) as answer,
        ):
            read = bytearray()
            async for part in answer.aiter_stream():
                read += part
                if len(read) > _MOST_BYTES:
                    raise NoAnswer(Trouble.NONSENSE)
            found = {name.lower(): value for name, value in answer.headers}
            kind = found.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
            return Answered(answer.status, kind, bytes(read))


def _trouble(error: Exception) -> Trouble:
    """A certificate that is not good is told apart from a machine that is not there."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return Trouble.INSECURE
        seen = seen.__cause__ or seen.__context__
    return Trouble.UNREACHABLE
