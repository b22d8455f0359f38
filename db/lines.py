"""Lines to the database that notice when nobody is at the other end any more.

A machine that loses its power, or a wire that is cut, closes nothing: without these options whoever waits for an answer
would wait for hours. They cost a packet every few seconds, and only on a line where nothing else is said.
"""

import socket
from typing import Any, Final

import asyncpg

__all__ = ["CONNECT_SECONDS", "GONE_SECONDS", "SERVER_SIDE", "KeptLine"]

CONNECT_SECONDS: Final = 5.0
"""Seconds within which a connection must be made."""
GONE_SECONDS: Final = 10
"""Seconds without an acknowledgement of what was sent after which the other end is taken for gone."""
_IDLE_SECONDS: Final = 10
_BETWEEN_SECONDS: Final = 3
_PROBES: Final = 3
SERVER_SIDE: Final = {
    "tcp_keepalives_idle": str(_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_BETWEEN_SECONDS),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(GONE_SECONDS * 1000),
}
"""The same for the server's end: what a client that is gone holds there is set free. Nothing on a local socket."""
_OPTIONS: Final = {
    "TCP_KEEPIDLE": _IDLE_SECONDS,
    "TCP_KEEPINTVL": _BETWEEN_SECONDS,
    "TCP_KEEPCNT": _PROBES,
    "TCP_USER_TIMEOUT": GONE_SECONDS * 1000,
}


class KeptLine(asyncpg.Connection):
    """A connection whose socket asks now and then whether the other end is there."""

    def __init__(self, protocol: Any, transport: Any, *rest: Any, **more: Any) -> None:
        super().__init__(protocol, transport, *rest, **more)
        self.kept_line: dict[str, int] = {}
        """Options of the socket that were set."""
        line = transport.get_extra_info("socket")
        if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.kept_line["SO_KEEPALIVE"] = line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in _OPTIONS.items():
            # Not every system has each.
            if (option := getattr(socket, name, None)) is not None:
                line.setsockopt(socket.IPPROTO_TCP, option, value)
                self.kept_line[name] = line.getsockopt(socket.IPPROTO_TCP, option)
