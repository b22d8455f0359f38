"""Logs: JSON lines on stderr, and only the fields in the list below.

A log line never holds a body, a key, a place, a path with ids or the text of an error: what a field could leak
cannot be written, whoever asks for it.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

__all__ = ["FIELDS", "configure"]

FIELDS: Final = (
    "timestamp",
    "level",
    "event",
    "request_id",
    "look",
    "look_id",
    "method",
    "route",
    "status",
    "milliseconds",
    "organization_id",
    "issuer_id",
    "waits_for",
    "what_to_do",
    "logger",
    "exception",
)
"""In the order in which a line has them."""


def configure() -> None:
    """Send our own lines and those of libraries to stderr in this form."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
    # Libraries log sentences that may quote what was sent: their names, levels and kinds of error are enough.
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Libraries)]:
        root.removeHandler(handler)
    root.addHandler(_Libraries(logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def _only_listed(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: event[name] for name in FIELDS if name in event}


class _Libraries(logging.Handler):
    """Says that a library had something to say."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line without the library's own text."""
        kind = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().warning(
            "library.said",
            logger=record.name,
            exception=kind.__name__ if kind else None,
        )
