"""The ways to solve a problem, by name; apart from the solvers, which take a second to load."""

from enum import StrEnum

__all__ = ["Method"]


class Method(StrEnum):
    """How a problem is solved."""

    AUTO = "auto"
    GREEDY = "greedy"
    LOCAL = "local"
    LP = "lp"
    EXACT = "exact"
