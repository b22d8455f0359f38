"""Notifications in words: what people are told of, through which channels, and when one gives up.

A channel is an e-mail address, or an address of a service as Apprise writes it. Only services of the list below may be
named: each speaks HTTPS to a public place. What a name leads to is looked at when it is connected to.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Final

from matching.delivering import host_and_port

__all__ = [
    "APART",
    "CHOSEN",
    "FAILING_FOR",
    "FRESH_FOR",
    "LEAD",
    "LONGEST_ADDRESS",
    "MAIL",
    "SCHEDULE",
    "SERVICES",
    "TELLS_IN",
    "ChannelState",
    "Fault",
    "Happening",
    "HostPort",
    "NoticeState",
    "PausedFor",
    "host_in_the_clear",
    "is_of_the_house",
    "kind_of_address",
    "named_hosts",
    "same_place",
    "shown_of",
]

HostPort = tuple[str, int]
"""A host or an address, and a port of it."""


class Happening(StrEnum):
    """What somebody is told of."""

    AWAITS = "awaits"
    """A hold awaits the organization's word."""
    EXPIRING = "expiring"
    """One that still does is about to run out."""
    CONFIRMED = "confirmed"
    """A place is confirmed for a need of the organization, or at an offer whose yes was given beforehand."""
    ASKED = "asked"
    """A partner town asks the organization to take people under a pact."""
    TEST = "test"
    """Somebody tries a channel."""


CHOSEN: Final = (Happening.AWAITS, Happening.EXPIRING, Happening.CONFIRMED, Happening.ASKED)
"""Happenings that an organization chooses among."""


class ChannelState(StrEnum):
    """Whether a channel is told anything."""

    ACTIVE = "active"
    PAUSED = "paused"


class PausedFor(StrEnum):
    """Why one is not."""

    ASKED = "asked"
    FAILING = "failing"
    """Nothing arrived by it for days."""


class NoticeState(StrEnum):
    """Where a notice stands: one happening, of one allocation or referral, for one channel."""

    WAITING = "waiting"
    SENDING = "sending"
    """A worker has it in hand; nobody else ever will."""
    TOLD = "told"
    PAST = "past"
    """It was not true any more when it could have been told."""
    LOST = "lost"
    """Nobody knows whether it arrived: it is not told again."""
    GIVEN_UP = "given_up"


class Fault(StrEnum):
    """Why a notice was not told. Nothing is said of what a name leads to."""

    REFUSED = "refused"
    """The other side said no."""
    UNREACHABLE = "unreachable"
    """No public address answers there."""
    UNSURE = "unsure"
    """The connection broke when the text may have arrived already."""
    NOT_SET_UP = "not_set_up"
    """This house has no mail server or none that takes its mail, or its operator has not named that host."""
    UNUSABLE = "unusable"
    """The address makes no sense to the service, or was sealed under another secret file."""


LEAD: Final = timedelta(minutes=15)
"""How long before the deadline of a hold its provider is told that it is about to run out; only where there was twice
as much time from the start."""
APART: Final = timedelta(minutes=2)
"""Between two messages of one kind by one channel: what happens meanwhile is told by the second, once."""
FRESH_FOR: Final = timedelta(hours=24)
"""A confirmation older than that is no news."""
FAILING_FOR: Final = timedelta(days=3)
"""A channel that fails, and by which nothing arrived for so long, is paused."""
TELLS_IN: Final = ("en", "fr", "it", "es", "ar")
SCHEDULE: Final = (timedelta(seconds=20), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Pauses after the first failure of a notice, the second, and so on; then it is given up: later than in half an hour
nobody need hear of a hold."""
MAIL: Final = "mail"
SERVICES: Final = frozenset(
    {
        *("46elks", "bulksms", "d7sms", "freemobile", "msgbird", "octopush", "plivo", "sinch", "smsmgr", "twilio"),
        "voipms",
        *("discord", "pover", "slack", "tgram", "threema", "whatsapp", "wxteams", "zulip"),
    }
)
"""Services with a place of their own: by SMS, then by message. Their addresses name no host.

None whose refusals come as an HTTP 200 that Apprise does not read: those (`clicksend`, `vonage`) would count
as told."""
_OWN_HOST: Final = {
    "gotifys": "gotify",
    "matrixs": "matrix",
    "mmosts": "mmost",
    "nctalks": "nctalk",
    "ntfys": "ntfy",
    "rockets": "rocket",
    "signals": "signal",
}
"""Services that anybody may run, by HTTPS at a public name; without it only at hosts that the operator names."""
LONGEST_ADDRESS: Final = 500
_MAIL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*@(?P<host>[^@]+)")
_LONGEST_MAIL: Final = 254
_LONGEST_MAILBOX: Final = 64
# No question mark: what follows one tells Apprise to read files, to take any certificate, or to ask elsewhere.
_ADDRESS: Final = re.compile(r"(?P<service>[a-z0-9]{2,20})://(?P<rest>[A-Za-z0-9/:@!$&'()*+,;=._~%#-]+)")
_HOST: Final = re.compile(r"(?:[^/@]*@)?(?P<host>[A-Za-z0-9.-]+)(?P<port>:[0-9]{1,5})?/[^?]+")
_HTTP: Final = 80
_HTTPS: Final = 443
_LAST_PORT: Final = 65535
_SHOWN_OF_MAIL: Final = 12
_SHOWN: Final = 4


def kind_of_address(address: str) -> str | None:
    """`mail`, or the service that an address names; nothing where a channel may not have it."""
    if "://" not in address:
        return MAIL if _is_mail(address) else None
    found = _ADDRESS.fullmatch(address) if len(address) <= LONGEST_ADDRESS else None
    if found is None:
        return None
    service, rest = found["service"], found["rest"]
    if service in SERVICES:
        return service
    at = _HOST.fullmatch(rest)
    if at is None:
        return None
    if service in _OWN_HOST:
        return service if host_and_port(f"https://{at['host']}{at['port'] or ''}") else None
    return service if service in _OWN_HOST.values() else None


def host_in_the_clear(address: str) -> HostPort | None:
    """The host of an address that asks for no HTTPS: it may be sent to where the operator has named it, and only so."""
    service, _, rest = address.partition("://")
    found = _HOST.fullmatch(rest)
    if found is None or service not in _OWN_HOST.values():
        return None
    return found["host"].lower(), int(found["port"][1:]) if found["port"] else _HTTP


def named_hosts(written: str) -> frozenset[HostPort]:
    """What an operator's list names: `host:port`, or `host` for HTTP and HTTPS at their own ports; commas between.

    Raises `ValueError` for a port that there is not.
    """
    found: set[HostPort] = set()
    for each in filter(None, written.lower().split(",")):
        host, colon, port = each.partition(":")
        ports = (int(port),) if colon else (_HTTP, _HTTPS)
        if not host or not all(0 < each <= _LAST_PORT for each in ports):
            raise ValueError(each)
        found |= {(host, each) for each in ports}
    return frozenset(found)


def same_place(address: str) -> str:
    """How an address is compared with others: two that are written apart and reach the same people are one."""
    return address.rstrip("/") if "://" in address else address.casefold()


def is_of_the_house(kind: str, fault: Fault) -> bool:
    """Whether the house itself failed (it has no way there, or its mail server is away), and not the channel."""
    return fault is Fault.NOT_SET_UP or (kind == MAIL and fault is Fault.UNREACHABLE)


def shown_of(address: str) -> str:
    """What is shown of an address once it is stored: its last characters."""
    return address[-(_SHOWN if "://" in address else _SHOWN_OF_MAIL) :]


def _is_mail(address: str) -> bool:
    found = _MAIL.fullmatch(address) if len(address) <= _LONGEST_MAIL else None
    if found is None or len(address) - len(found["host"]) > _LONGEST_MAILBOX + 1:
        return False
    return host_and_port(f"https://{found['host'].lower()}") is not None and ":" not in found["host"]
