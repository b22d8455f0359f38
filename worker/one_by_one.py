"""Acts on many things of which each is done for itself: what goes wrong with one keeps no other waiting."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.connection import transaction

__all__ = ["broken_acts", "is_away", "one_by_one", "waits_for_others"]

Thing = TypeVar("Thing")

_IN_EACH_OTHERS_WAY = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE: somebody else keeps what an act wants, or wants what it keeps. Nothing was done, and it stays due."""
_AWAY = ("08", "53", "57P", "58")
"""Beginnings of SQLSTATE: the connection is lost, disk or memory are full, an operator ends it, the system fails.

A statement that runs into its time limit (57014) is none of these: what it does with one thing it does at every look.
"""
_broken: ContextVar[list[str] | None] = ContextVar("broken", default=None)
_log = structlog.get_logger()


@contextmanager
def broken_acts() -> Iterator[Sequence[str]]:
    """The names of the things with which an act broke while the block ran, in the order in which it did."""
    broken: list[str] = []
    before = _broken.set(broken)
    try:
        yield broken
    finally:
        _broken.reset(before)


async def one_by_one(
    engine: AsyncEngine, things: Iterable[Thing], act: Callable[[AsyncConnection, Thing], Awaitable[bool]], name: str
) -> AsyncIterator[Thing]:
    """Act on each in a transaction of its own; those with which something changed, once it is committed.

    What goes wrong with one is logged, with the `name` of what it is, and counted (`broken_acts`); it stays due and is
    tried again at the next look, in its place: as many as one look takes would leave no room for others.
    Raises only when the database is away.
    """
    for thing in things:
        try:
            async with transaction(engine) as tx:
                changed = await act(tx, thing)
        except Exception as error:
            if is_away(error):
                raise
            if waits_for_others(error):
                _log.warning("worker.act_waits_for_others", on=name)
            else:
                _log.error("worker.act_broke", on=name, exception=type(error).__name__)
                if (broken := _broken.get()) is not None:
                    broken.append(name)
        else:
            if changed:
                yield thing


def is_away(error: BaseException) -> bool:
    """Whether it is the database that went wrong, with everything, and not the one act."""
    if isinstance(error, OperationalError | InterfaceError | NoConnectionLeft | OSError):
        return True
    return (isinstance(error, DBAPIError) and error.connection_invalidated) or _state(error).startswith(_AWAY)


def waits_for_others(error: BaseException) -> bool:
    """Whether others were in the way of an act, which was not done."""
    return _state(error) in _IN_EACH_OTHERS_WAY


def _state(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
