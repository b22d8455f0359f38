"""`python -m worker.apprised`: one message by Apprise, in a process of its own that can reach public addresses alone.

It is given JSON on its input (`url`, `body`, `permitted`: hosts that the operator named) and writes one word: `told`,
or a `Fault`. Apprise has some hundred and fifty services by as many hands, each with its way out: so the door itself is
looked at. Every connection that Python opens in this process, by whatever library, is checked at the very address
that it goes to; what is no connection over TCP (datagrams, sockets of the machine, programs) is refused.
"""

import json
import logging
import socket
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import requests
from apprise import Apprise, AppriseAsset
from requests.adapters import HTTPAdapter

from matching.notifying import Fault
from worker.outbound import is_public

__all__ = ["TOLD", "Door", "DoorShut"]

TOLD: Final = "told"
_SECONDS: Final = 30.0
_REFUSED: Final = ("socket.sendto", "socket.sendmsg", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
_REFUSED_TOO: Final = ("os.fork", "os.forkpty", "pty.spawn", "socket.bind")
_SUCCESS: Final = range(200, 300)


class DoorShut(OSError):  # noqa: N818 - libraries are told that nothing is there
    """Nothing may be asked there."""


@dataclass
class Door:
    """What this process may connect to, and what came of what it asked."""

    permitted: frozenset[str]
    """Addresses, beside public ones."""
    shut: bool = False
    said_yes: bool = False
    """Whether anybody took anything: then nobody can tell what a failure means."""
    said_no: bool = False
    broke: bool = False
    """Whether a connection ended with no answer to what it had been sent."""
    _refused: frozenset[str] = field(default=frozenset({*_REFUSED, *_REFUSED_TOO}), repr=False)

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
            return str(address[0]) in self.permitted or is_public(ip_address(str(address[0])))
        except ValueError:
            # A name: the system would look it up behind our back.
            return False

    def fault(self) -> Fault:
        """Why nothing was told."""
        if self.broke or self.said_yes:
            return Fault.UNSURE
        return Fault.REFUSED if self.said_no else Fault.UNREACHABLE


class _Counted(HTTPAdapter):
    """Sends as ever, and notes what came of it."""

    door: Door

    def send(self, request: requests.PreparedRequest, *given: object, **named: object) -> requests.Response:
        """As `HTTPAdapter`."""
        try:
            answer = super().send(request, *given, **named)  # type: ignore[arg-type]
        except requests.ConnectTimeout:
            raise
        except requests.RequestException as error:
            self.door.broke = self.door.broke or not _never_connected(error)
            raise
        yes = answer.status_code in _SUCCESS
        self.door.said_yes, self.door.said_no = self.door.said_yes or yes, self.door.said_no or not yes
        return answer


def _never_connected(error: BaseException | None) -> bool:
    """Whether what broke broke before anything was sent: no connection, no name, no good certificate."""
    seen = repr(error)
    return any(word in seen for word in ("NewConnectionError", "NameResolutionError", "SSLCertVerificationError"))


def main() -> None:
    """Read, send, print."""
    given = json.load(sys.stdin)
    logging.disable()
    door = Door(_addresses_of(given["permitted"]))
    _Counted.door = door
    # Each service asks by `requests.post`, which makes a session of its own: here is where that takes its adapter from.
    vars(requests.sessions)["HTTPAdapter"] = _Counted
    asset = AppriseAsset(http_redirects=False, pgp_autogen=False, pem_autogen=False, service_timeout=_SECONDS)
    service = Apprise.instantiate(given["url"], asset=asset)
    if service is None:
        sys.stdout.write(Fault.UNUSABLE.value)
        return
    sender = Apprise(asset=asset)
    sender.add(service)
    sys.addaudithook(door.watch)
    sys.stdout.write(TOLD if sender.notify(body=given["body"]) else door.fault().value)


def _addresses_of(hosts: list[str]) -> frozenset[str]:
    found = set()
    for host in hosts:
        try:
            found |= {str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except OSError:
            continue
    return frozenset(found)


if __name__ == "__main__":
    main()
