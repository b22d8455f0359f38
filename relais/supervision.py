"""Keeping the house standing: whatever of it dies is told in a line and started again, after a growing pause.

Where something dies again and again, starting it once more helps nobody: the house ends and says so. Servers that
were configured from outside are no wards of ours.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from relais.embedded import StackProblem

__all__ = ["MOST_DEATHS", "Supervision", "Ward"]

MOST_DEATHS: Final = 5
"""Deaths of one ward within `_WINDOW_SECONDS` after which it is not started again."""
_WINDOW_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LOOK_AGAIN_SECONDS: Final = 0.1


class Ward(Protocol):
    """Something that runs and is to go on running."""

    @property
    def name(self) -> str:
        """What people call it, at the beginning of a sentence."""

    @property
    def log_file(self) -> str:
        """Where its last words are."""

    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""

    def start_again(self) -> None:
        """Start it where it was, after it ended. Raises `StackProblem`."""


@dataclass
class _Watched:
    ward: Ward
    deaths: deque[float] = field(default_factory=deque)
    due: float | None = None
    """When it is started again; None while it runs."""


class Supervision:
    """Looks after wards in their order: what others need comes first. `tell` hears one line for each thing done."""

    def __init__(
        self, wards: Sequence[Ward], tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock`: seconds."""
        self._watched = [_Watched(ward) for ward in wards]
        self._tell = tell
        self._clock = clock

    def watch(self) -> None:
        """Stay until something dies for good, which raises `StackProblem`, or until a signal ends the wait."""
        while True:
            self.look()
            time.sleep(_LOOK_AGAIN_SECONDS)

    def look(self) -> None:
        """Tell who died, and start again whose pause is over. Raises `StackProblem` where that has not helped."""
        for watched in self._watched:
            if watched.due is None:
                how = watched.ward.ending()
                if how is not None:
                    self._mourn(watched, how)
            elif watched.due <= self._clock():
                self._revive(watched)

    def _mourn(self, watched: _Watched, how: str) -> None:
        now, deaths, name = self._clock(), watched.deaths, watched.ward.name
        while deaths and deaths[0] <= now - _WINDOW_SECONDS:
            deaths.popleft()
        deaths.append(now)
        if len(deaths) >= MOST_DEATHS:
            raise StackProblem(
                f"{name} has ended by itself ({how}) for the {len(deaths)}th time within {_WINDOW_SECONDS:.0f} "
                "seconds and is not started again; everything else is stopped now. What was acknowledged is safe in "
                f"PostgreSQL. What to do: see {watched.ward.log_file}, then start again."
            )
        pause = _FIRST_PAUSE_SECONDS * 2 ** (len(deaths) - 1)
        watched.due = now + pause
        self._tell(
            f"{name} has ended by itself ({how}). What was acknowledged is safe in PostgreSQL. It is started again in "
            f"{pause:g} seconds."
        )

    def _revive(self, watched: _Watched) -> None:
        watched.due = None
        try:
            watched.ward.start_again()
        except StackProblem:
            # The next line says so, and counts; the sentences of a first start speak of a house that is not up.
            self._mourn(watched, "it could not be started")
        else:
            self._tell(f"{watched.ward.name} was started again.")
