"""The parties of an evening that was played: they give their places back before it is played again.

Who plays it a third time on one evening would else find the houses full of the first two. Only they are ended: what
somebody else posted with the demonstration's keys stays.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from relais.desk import Desk

__all__ = ["Parties"]

_BETWEEN: Final = "\t"


class Parties:
    """Written down as they are posted, in a file that outlives a demonstration which is stopped in the middle."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, poster: str, need_id: UUID) -> None:
        """One more was posted, by the organization of this name."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(f"{need_id}{_BETWEEN}{poster}\n")

    def leave(self, desks: Mapping[str, Desk]) -> int:
        """Withdraw those that still look for a place or have one. How many; none is noted any more.

        Raises `DeskProblem`.
        """
        if not self._file.exists():
            return 0
        left = 0
        for line in self._file.read_text(encoding="utf-8").splitlines():
            need_id, _, poster = line.partition(_BETWEEN)
            if poster in desks:
                left += desks[poster].withdraw(UUID(need_id))
        self._file.unlink()
        return left
