"""What two runs of one evening do not share, and what they do: towns, cells, and the hour at which the night comes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import h3

from geo.cells import COARSE_RESOLUTION, RESOLUTION, Cell, Point, cell_of, cell_text, centroid
from tests.builders import TONIGHT
from tests.places import BRIANCON, MONTGENEVRE, PlaceRow

__all__ = ["FIRST", "PROTECTED", "SECOND", "Telling", "inside", "is_morning", "until_tonight"]

_ZONE: Final = ZoneInfo("Europe/Paris")


@dataclass(frozen=True)
class Telling:
    """What two runs do not share.

    `corner` is the vertex of its cell that every protected place lies near; `way` how its address is written;
    `strangers` what the parties of another organization are made of: adults, minors and what they require.
    """

    corner: int
    way: str
    strangers: Sequence[tuple[int, int, str]]
    public_corner: int = 0

    @property
    def meeting_point(self) -> str:
        return f"under the clock, {self.way}"

    def secrets(self) -> list[str]:
        """Words that are nowhere but where they were stated, and where those read them who may."""
        places = [inside(cell, self.corner) for _, cell in PROTECTED.values()]
        return [
            self.way,
            *(f"{place.longitude!r}"[:7] for place in places),
            *(f"{place.latitude!r}"[:8] for place in places),
        ]


FIRST: Final = Telling(0, "3 impasse du Ruisseau", [(4, 0, "quiet"), (5, 0, "quiet"), (3, 0, "quiet"), (2, 1, "quiet")])
SECOND: Final = Telling(
    3, "rue de la Source 7", [(1, 3, "showers"), (2, 3, "showers"), (2, 1, "showers"), (3, 0, "showers")]
)
"""The same parties by their size, so that all decisions are the same; and every place somewhere else in its cell."""


def _near(longitude: float, latitude: float, resolution: int = RESOLUTION) -> Cell:
    return cell_of(Point(longitude, latitude), resolution)


PROTECTED: Final[Mapping[str, tuple[PlaceRow, Cell]]] = {
    "premises": (BRIANCON, BRIANCON.cell),
    "rendezvous": (BRIANCON, _near(6.612, 44.907, COARSE_RESOLUTION)),
    "home": (BRIANCON, _near(6.55, 44.88, COARSE_RESOLUTION)),
    "open home": (BRIANCON, _near(6.66, 44.86, COARSE_RESOLUTION)),
    "cabin": (BRIANCON, _near(6.60, 44.93)),
    "chalet": (BRIANCON, _near(6.66, 44.94)),
    "hall": (BRIANCON, _near(6.64, 44.92)),
    "refuge": (MONTGENEVRE, MONTGENEVRE.cell),
    "annex": (BRIANCON, _near(6.60, 44.90)),
}
"""By name, the town and the cell of each place that is not public."""


def inside(cell: Cell, corner: int) -> Point:
    """A point of a cell, six tenths of the way from its middle to a corner."""
    middle = centroid(cell)
    latitude, longitude = h3.cell_to_boundary(cell_text(cell))[corner]
    return Point(
        round(middle.longitude + 0.6 * (longitude - middle.longitude), 6),
        round(middle.latitude + 0.6 * (latitude - middle.latitude), 6),
    )


def until_tonight(now: datetime) -> tuple[int, float]:
    """Whole days after which the night that begins at `TONIGHT` is tonight, and what is then left until eight, in days.

    A night belongs to its evening until nine in the morning. From six on nobody needs a bed for it any more: then it is
    the morning before, and there is no load to be counted yet.
    """
    local = now.astimezone(_ZONE)
    days = (TONIGHT - (local - timedelta(hours=9)).date()).days - int(is_morning(now))
    eight = datetime.combine(TONIGHT, time(20), _ZONE) - timedelta(days=days)
    minutes = max(0, int((eight - now) / timedelta(minutes=1)))
    return days, minutes / 1440


def is_morning(now: datetime) -> bool:
    """Whether a night is over for who needs a bed, and not yet for who counts."""
    return 6 <= now.astimezone(_ZONE).hour < 9
