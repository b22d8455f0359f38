"""One way to compile the hot loops: to machine code, kept on disk where there is a place for it, without the GIL."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code; it is compiled at its first call, or read from where an earlier process kept it."""
    try:
        return cast("Function", njit(function, cache=True, nogil=True, error_model="numpy"))
    except RuntimeError:
        # A read-only installation without a home has no place to keep the code: each process compiles its own.
        return cast("Function", njit(function, nogil=True, error_model="numpy"))
