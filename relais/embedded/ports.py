"""Free ports on this machine's own address.

They are taken below the range from which the kernel serves outgoing connections: a client that keeps
trying a port of that range while its server is away may end up connected to itself, and then the server
can't come back.
"""

import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

_FIRST = 15_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port nobody listens on at this moment; the server that is told it may still find it taken."""
    end = _first_outgoing_port()
    for _ in range(200):
        port = _FIRST + secrets.randbelow(end - _FIRST)
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # As the servers do: a port that only waits for old connections to fade counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _first_outgoing_port() -> int:
    try:
        first = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    return first if first > _FIRST + 1_000 else 32_768
