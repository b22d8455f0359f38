"""`python -m worker.apprised`: one message by Apprise, in a process of its own that can reach public addresses alone.

It is given JSON on its input (`url`, `body`, `seconds` that it may take, and `permitted`: hosts with ports that the
operator named) and writes one word: `told`, or a `Fault`. Apprise has some hundred and fifty services by as many hands,
each with its way out: so the door itself is looked at. Every connection that Python opens in this process, by whatever
library, is checked at the very address and port that it goes to; what is no connection over TCP (datagrams, sockets of
the machine, programs) is refused.
"""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from typing import Any, Final

import requests
from apprise import Apprise, AppriseAsset
from requests.adapters import HTTPAdapter

from matching.notifying import Fault, HostPort
from worker.outbound import is_public

__all__ = ["TOLD", "Door", "DoorShut"]

TOLD: Final = "told"
_LONGEST_PAUSE: Final = 0.2
"""Seconds between questions to one service. Apprise waits for 5.5 where it knows no better: of twelve numbers the last
would be asked when our time is over."""
_REFUSED: Final = ("socket.sendto", "socket.sendmsg", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
_REFUSED_TOO: Final = ("os.fork", "os.forkpty", "pty.spawn", "socket.bind")
_SUCCESS: Final = range(200, 300)


class DoorShut(OSError):  # noqa: N818 - libraries are told that nothing is there
    """Nothing may be asked there."""


@dataclass
class Door:
    """What this process may connect to, and what came of what it asked."""

    permitted: frozenset[HostPort]
    """Addresses with their ports, beside public ones."""
    shut: bool = False
    said_yes: bool = False
    """Whether anybody took anything: then nobody can tell what a failure means."""
    said_no: bool = False
    unanswered: int = 0
    """Questions that may have arrived and were not answered (yet)."""
    over: bool = False
    """Whether the word is said: nothing is asked after it."""
    _refused: frozenset[str] = field(default=frozenset({*_REFUSED, *_REFUSED_TOO}), repr=False)
    _one_at_a_time: Lock = field(default_factory=Lock, repr=False)

    def watch(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook (PEP 578): it cannot be taken away again. Raises `DoorShut`."""
        if event in self._refused:
            self.shut = True
            raise DoorShut
        if event == "socket.connect" and not self._leads_out(arguments[1]):
            self.shut = True
            raise DoorShut

    def _leads_out(self, address: object) -> bool:
        if not isinstance(address, tuple):
            return False
        try:
            return tuple(address[:2]) in self.permitted or is_public(ip_address(str(address[0])))
        except ValueError:
            # A name: the system would look it up behind our back.
            return False

    def ask(self) -> None:
        """Something is about to be asked. Raises `DoorShut` once the word is said."""
        with self._one_at_a_time:
            if self.over:
                raise DoorShut
            self.unanswered += 1

    def answered(self, status: int) -> None:
        """It was answered with this status."""
        with self._one_at_a_time:
            self.unanswered -= 1
            yes = status in _SUCCESS
            self.said_yes, self.said_no = self.said_yes or yes, self.said_no or not yes

    def never_left(self) -> None:
        """It surely did not arrive."""
        with self._one_at_a_time:
            self.unanswered -= 1

    def fault(self) -> Fault:
        """Why nothing was told; from now on nothing is.

        Apprise gives up on a service and leaves its thread running: a question of it that is on its way may arrive.
        """
        with self._one_at_a_time:
            self.over = True
            if self.unanswered or self.said_yes:
                return Fault.UNSURE
            return Fault.REFUSED if self.said_no else Fault.UNREACHABLE


class _Counted(HTTPAdapter):
    """Sends as ever, and notes what came of it."""

    door: Door

    def send(self, request: requests.PreparedRequest, *given: object, **named: object) -> requests.Response:
        """As `HTTPAdapter`."""
        self.door.ask()
        try:
            answer = super().send(request, *given, **named)  # type: ignore[arg-type]
        except requests.RequestException as error:
            if isinstance(error, requests.ConnectTimeout) or _never_connected(error):
                self.door.never_left()
            raise
        self.door.answered(answer.status_code)
        return answer


def _never_connected(error: BaseException | None) -> bool:
    """Whether what broke broke before anything was sent: no connection, no name, no good certificate."""
    seen = repr(error)
    return any(word in seen for word in ("NewConnectionError", "NameResolutionError", "SSLCertVerificationError"))


def main() -> None:
    """Read, send, say the word, and end at once: a thread that Apprise has given up is not waited for."""
    word = _told(json.load(sys.stdin))
    sys.stdout.write(word)
    sys.stdout.flush()
    os._exit(0)


def _told(given: dict[str, Any]) -> str:
    logging.disable()
    door = Door(_addresses_of(given["permitted"]))
    _Counted.door = door
    # Each service asks by `requests.post`, which makes a session of its own: here is where that takes its adapter from.
    vars(requests.sessions)["HTTPAdapter"] = _Counted
    asset = AppriseAsset(http_redirects=False, pgp_autogen=False, pem_autogen=False, service_timeout=given["seconds"])
    service = Apprise.instantiate(given["url"], asset=asset)
    if service is None:
        return Fault.UNUSABLE.value
    service.request_rate_per_sec = min(service.request_rate_per_sec, _LONGEST_PAUSE)
    sender = Apprise(asset=asset)
    sender.add(service)
    sys.addaudithook(door.watch)
    return TOLD if sender.notify(body=given["body"]) else door.fault().value


def _addresses_of(hosts: Iterable[tuple[str, int]]) -> frozenset[HostPort]:
    found = set()
    for host, port in hosts:
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {(str(sockaddr[0]), port) for *_, sockaddr in known}
    return frozenset(found)


if __name__ == "__main__":
    main()
