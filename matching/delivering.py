"""Webhooks in words: which addresses one may have, when a failed delivery is tried again, and when one gives up.

What an address leads to is looked at when it is connected to; here only how it is written.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Final

__all__ = [
    "LONGEST_URL",
    "MOST_ASKED",
    "SCHEDULE",
    "AddressFlaw",
    "DeliveryState",
    "DisabledFor",
    "Trouble",
    "WebhookState",
    "flaw_of_address",
    "host_and_port",
    "pause_after",
]


class WebhookState(StrEnum):
    """Whether a webhook is told of events."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DisabledFor(StrEnum):
    """Why one is not told any more."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It took nothing for the whole schedule, of several events."""


class DeliveryState(StrEnum):
    """Where an event stands that a webhook has not taken."""

    WAITING = "waiting"
    PARKED = "parked"
    """It is not tried any more until somebody asks for it."""


class Trouble(StrEnum):
    """Why an event was not taken. Nothing is told of what a name leads to: it may be a house that is not theirs."""

    REFUSED = "refused"
    """It answered with something other than success."""
    UNREACHABLE = "unreachable"
    """No public address answers under its name, or not only public ones stand there."""
    INSECURE = "insecure"
    """Its certificate is not good for its name."""
    TOO_SLOW = "too_slow"


class AddressFlaw(StrEnum):
    """The first thing that is wrong with how an address is written; each has its sentence."""

    HTTPS = "webhook_needs_https"
    USER = "webhook_names_a_user"
    NAME = "webhook_needs_a_public_name"
    PORT = "webhook_port_not_allowed"
    REST = "not_a_webhook_address"
    """What follows the name and the port, or the length."""


SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Pauses after the first failure, the second, and so on: as Standard Webhooks suggests, over three days."""
MOST_ASKED: Final = timedelta(hours=24)
"""The longest pause that a receiver may ask for."""
_SPREAD: Final = 0.2
"""A pause is up to so much longer, so that what failed together does not come back together."""
LONGEST_URL: Final = 500
_HTTPS: Final = 443
_LOWEST_FREE_PORT: Final = 1024
_HIGHEST_PORT: Final = 65535
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: whatever reads numbers as addresses (decimal, octal, hexadecimal) finds none.
_NAME: Final = rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])"
_URL: Final = re.compile(
    rf"https://(?P<host>{_NAME})(?::(?P<port>[1-9][0-9]{{0,4}}))?"
    r"(?P<rest>[/?][A-Za-z0-9/?:@!$&'()*+,;=._~%-]*)?"
)
_LONGEST_HOST: Final = 253
_NOBODYS: Final = frozenset({"localhost", "local", "internal", "arpa", "onion", "test", "invalid"})
"""Last labels of names that lead to no public place (RFC 6761, RFC 6762, RFC 7686)."""


def host_and_port(url: str) -> tuple[str, int] | None:
    """The name and the port of an address that a webhook may have; nothing where it may not have it.

    That is: `https`, a name of at least two labels in small ASCII letters, the usual port or one above 1023, no user,
    no fragment, nothing that two programs might read differently.
    """
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None or not _is_public(found["host"]):
        return None
    port = int(found["port"] or _HTTPS)
    return (found["host"], port) if _is_open(port) else None


def flaw_of_address(url: str) -> AddressFlaw | None:
    """Why a webhook may not have this address; nothing where it may."""
    if host_and_port(url) is not None:
        return None
    if not url.startswith("https://"):
        return AddressFlaw.HTTPS
    authority = re.split(r"[/?#]", url.removeprefix("https://"), maxsplit=1)[0]
    if "@" in authority:
        return AddressFlaw.USER
    host, colon, port = authority.partition(":")
    if not re.fullmatch(_NAME, host) or not _is_public(host):
        return AddressFlaw.NAME
    if colon and not (re.fullmatch("[1-9][0-9]{0,4}", port) and _is_open(int(port))):
        return AddressFlaw.PORT
    return AddressFlaw.REST


def _is_public(host: str) -> bool:
    return len(host) <= _LONGEST_HOST and host.rpartition(".")[2] not in _NOBODYS


def _is_open(port: int) -> bool:
    return port == _HTTPS or _LOWEST_FREE_PORT <= port <= _HIGHEST_PORT


def pause_after(failures: int, lot: float, asked: timedelta | None = None) -> timedelta | None:
    """How long to wait after so many failures in a row; nothing where it is time to give up.

    `lot` is drawn from 0 to 1. What the receiver asked for (`Retry-After`) is waited for as well, within bounds.
    """
    if failures > len(SCHEDULE):
        return None
    pause = SCHEDULE[failures - 1] * (1 + _SPREAD * lot)
    return max(pause, min(asked, MOST_ASKED)) if asked else pause
