"""`python -m tests.no_route PYTEST-ARGUMENTS`: tests in a network that leads nowhere; who tries to leave is counted.

The process gets a network of its own in which nothing is up but `lo`: the kernel counts each attempt to reach anything
else, by whatever program and whether or not its error was passed over (`OutNoRoutes` of IPv4 and IPv6). Names are
asked of a server that is not there, so that a question for one counts too. Before anything is run, the count is proved:
a connection, a datagram and a question for a name must raise it.

Ends with pytest's status; with 3 where anything tried to leave. Where the kernel gives nobody a network of their own,
or the servers to use are given by their addresses, it says so and runs the tests as they are; with `--or-not-at-all`
it runs nothing then.
"""

import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from relais.embedded import running_stack
from relais.embedded.choosing import Programs
from relais.embedded.problem import StackProblem
from relais.embedded.users import server_user
from tests import chromium, promtool
from tests.db import patroni
from tests.faults import clocks

__all__ = ["ATTEMPTED", "LEFT_DURING", "Forbidden", "attempts", "enter", "main"]

ATTEMPTED = 3
"""The status where something tried to leave."""
LEFT_DURING = "TESTS_LEFT_DURING"
"""Names the file in which `tests.leaving` writes during which tests that was, with the attempts of each."""
_ROOT = Path(__file__).parents[1]
_OR_NOT = "--or-not-at-all"
_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
_BIND, _PRIVATE, _RECURSIVE = 4096, 1 << 18, 16384
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_ADD_ROUTE, _HOST = 0x890B, 0x4
_ASKED_BY_BROWSERS = "2001:4860:4860::8888"
"""Where Chromium looks whether IPv6 is there."""
_NOWHERE, _NOWHERE_6 = "192.0.2.53", "2001:db8::53"
"""Addresses of documentation (RFC 5737, RFC 3849): nobody has them."""
_PROBE = f"""
import socket
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, "{_NOWHERE}"),
    (socket.AF_INET, socket.SOCK_DGRAM, "{_NOWHERE}"),
    (socket.AF_INET6, socket.SOCK_STREAM, "{_NOWHERE_6}"),
):
    try:
        socket.socket(family, kind).connect((address, 53))
    except OSError:
        pass
"""
_ASK = """
import socket
try:
    socket.getaddrinfo("relais.invalid", 443)
except OSError:
    pass
"""
_libc = ctypes.CDLL(None, use_errno=True)


class Forbidden(Exception):  # noqa: N818 - a fact about the machine, not a fault of ours
    """The kernel gives this process no network of its own; the message says why."""


def attempts() -> int:
    """How often anything in this network tried to reach what no way leads to."""
    head, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:"))
    counted = int(values[head.index("OutNoRoutes")])
    with suppress(FileNotFoundError):  # a kernel without IPv6
        found = re.search(r"^Ip6OutNoRoutes\s+(\d+)", Path("/proc/net/snmp6").read_text(), re.MULTILINE)
        counted += int(found[1]) if found else 0
    return counted


def enter() -> None:
    """Move this process, and all that it starts from now on, into a network without a way out. Raises `Forbidden`."""
    user, group = os.geteuid(), os.getegid()
    wanted = _NEW_NETWORK | _NEW_MOUNTS | (_NEW_USER if user != 0 else 0)
    if _libc.unshare(wanted) != 0:
        raise Forbidden(f"this machine's kernel gives no network of one's own ({os.strerror(ctypes.get_errno())})")
    try:
        if user != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        _raise_loopback()
        _have_ipv6_seem_there()
        if LEFT_DURING not in os.environ:  # else names are asked of nobody already
            _ask_nobody_for_names()
    except OSError as error:
        raise Forbidden(f"this machine's kernel lets nobody set up a network of their own ({error.strerror})") from None


def prove() -> int:
    """The count, after it was seen to rise for each way of leaving. Raises `Forbidden` where it does not."""
    for what, program, least in (("a connection", _PROBE, 2), ("a question for a name", _ASK, 1)):
        before = attempts()
        subprocess.run([sys.executable, "-c", program], check=True)
        if attempts() < before + least:
            raise Forbidden(f"attempts cannot be counted here: {what} was not")
    return attempts()


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments; the status to end with."""
    command = [sys.executable, "-m", "pytest", *(each for each in arguments if each != _OR_NOT)]
    try:
        before = _leave_the_routes(long="--long" in arguments)
    except Forbidden as reason:
        print(f"Nothing is run without a route: {reason}.", flush=True)
        return 0 if _OR_NOT in arguments else subprocess.run(command, check=False).returncode
    print("No route leads out of here; attempts to leave are counted.", flush=True)
    with tempfile.NamedTemporaryFile("r", prefix="relais-left-") as names:
        environment = {**os.environ, LEFT_DURING: names.name}
        status = subprocess.run([*command, "-p", "tests.leaving"], check=False, env=environment).returncode
        tried = attempts() - before
        print(f"Attempts to leave: {tried}.", *sorted(set(names.read().splitlines())), sep="\n  ", flush=True)
    return ATTEMPTED if tried and status == 0 else status


def _leave_the_routes(*, long: bool) -> int:
    if any(map(_SERVERS.fullmatch, os.environ)):
        raise Forbidden("the servers to use are given, and may be anywhere")
    if LEFT_DURING not in os.environ:  # else no way leads to anything, and to ask for it would count
        _fetch_what_is_missing(long=long)
    enter()
    return prove()


_SERVERS = re.compile(r"RELAIS_(DATABASE|REDIS)_URL")
"""Names of settings that give servers."""


def _fetch_what_is_missing(*, long: bool) -> None:
    """Programs that a first use takes from the distribution: servers, backups, and what some tests go by."""
    stack = _ROOT / ".relais" / "test"
    if not stack.exists():
        with running_stack(stack, tell=print):
            pass
    programs = Programs.of_stack(stack, server_user(stack), print)
    programs.pgbackrest()
    programs.pgbouncer()
    clocks.fetch()
    promtool.fetch()
    chromium.fetch()
    if long:
        with suppress(StackProblem):  # the test says so
            patroni.fetch()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, _GET_FLAGS, asked))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))


def _have_ipv6_seem_there() -> None:
    """A browser asks the kernel at its start whether a way leads to this address, and sends nothing: let one lead here.

    The route, to this one address by the loopback, is written as `struct in6_rtmsg` (`linux/ipv6_route.h`) has it.
    """
    to = socket.inet_pton(socket.AF_INET6, _ASKED_BY_BROWSERS)
    route = struct.pack("16s32xIHHIxxxxLIi", to, 0, 128, 0, 1, 0, _UP | _HOST, socket.if_nametoindex("lo"))
    # A kernel without IPv6 counts no attempts by it.
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _ADD_ROUTE, route)


def _ask_nobody_for_names() -> None:
    """A server of names on this machine would answer from outside of this network, or be refused without a count."""
    _mount(b"none", b"/", _PRIVATE | _RECURSIVE)
    with tempfile.NamedTemporaryFile("w", prefix="relais-names-") as written:
        written.write(f"nameserver {_NOWHERE}\noptions timeout:1 attempts:1\n")
        written.flush()
        os.fchmod(written.fileno(), 0o644)
        _mount(written.name.encode(), bytes(Path("/etc/resolv.conf").resolve()), _BIND)


def _mount(source: bytes, target: bytes, flags: int) -> None:
    if _libc.mount(source, target, None, flags, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
