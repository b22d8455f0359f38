"""Who posts needs from wherever it likes and tries to learn from the answers where a hidden site lies.

It believes that distances and orders are measured from the site itself, keeps a cloud of points that agree best with
all that it was told, and asks next from where the answer splits that cloud most evenly: where the ring between two
whole kilometres, or the line of equal distance to a known site, runs through its middle.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geo.cells import Point
from geo.distance import EARTH_RADIUS_KM

__all__ = ["Adversary", "Heard", "Oracle", "apart_km"]

Floats = NDArray[np.float64]
_CLOUD: Final = 800
_ORIGINS: Final = 60
_TRIES: Final = 4
_STEPS: Final = (-4.5, -1.3)
"""Powers of ten, in degrees: three metres to five kilometres."""
_REACH_KM: Final = 45.0
_DEGREE_KM: Final = 111.2


@dataclass(frozen=True)
class Heard:
    """What one question told of the hidden site: whole kilometres, and before (-1) or after (1) which known sites."""

    km: int
    order: Mapping[str, int]


Oracle = Callable[[Point, int], Awaitable[Heard | None]]
"""Answers a need posted at a point, with this number; `None` where the hidden site is not told of."""


def apart_km(a: Floats, b: Floats) -> Floats:
    """(n, m) great-circle kilometres between (n, 2) and (m, 2) points in degrees, longitude first."""
    chord = np.sqrt(np.maximum(2 - 2 * _unit(a) @ _unit(b).T, 0))
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1)))


def _unit(points: Floats) -> Floats:
    """(n, 3) points of the unit sphere."""
    longitude, latitude = np.radians(points).T
    return np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], 1)


class Adversary:
    """One attempt; the same seed and the same answers make the same questions."""

    def __init__(self, around: Point, known: Mapping[str, Point], seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._middle = np.array([around.longitude, around.latitude])
        self._names = sorted(known)
        self._known = np.array([[known[name].longitude, known[name].latitude] for name in self._names])
        self._cloud = self._scatter(_CLOUD, _REACH_KM)
        self._origins: list[Floats] = []
        self._km: list[int] = []
        self._order: list[list[int]] = []

    async def ask(self, oracle: Oracle, adaptive: int, in_all: int) -> None:
        """So many questions that build on each other, and as many more from anywhere."""
        for number in range(in_all):
            origin = self._best_origin() if number < adaptive else self._scatter(1, _REACH_KM)[0]
            heard = await oracle(Point(float(origin[0]), float(origin[1])), number)
            if heard is not None and number < adaptive:
                self._learn(origin, heard)

    @property
    def estimate(self) -> Point:
        """Where it believes the site to be."""
        longitude, latitude = self._cloud.mean(axis=0)
        return Point(float(longitude), float(latitude))

    def _learn(self, origin: Floats, heard: Heard) -> None:
        self._origins.append(origin)
        self._km.append(heard.km)
        self._order.append([heard.order.get(name, 0) for name in self._names])
        agreeing = _best(self._cloud, self._misfit(self._cloud))
        if len(agreeing) < _CLOUD // 4:
            agreeing = self._renewed(agreeing)
        self._cloud = agreeing

    def _renewed(self, points: Floats) -> Floats:
        """New points around those that agree, some metres to some kilometres off; of all, those that agree best."""
        for _ in range(_TRIES):
            drawn = points[self._random.choice(len(points), _CLOUD)]
            degrees = 10 ** self._random.uniform(*_STEPS, (_CLOUD, 1))
            points = np.vstack([points, drawn + self._random.normal(0, 1, (_CLOUD, 2)) * degrees])
            misfit = self._misfit(points)
            points = _best(points, misfit)
            if misfit.min() == 0 and len(points) > _CLOUD // 4:
                break
        return points

    def _misfit(self, points: Floats) -> Floats:
        """(points,) by how many kilometres each point contradicts what was heard, in all."""
        origins = np.array(self._origins)
        away = apart_km(points, origins)
        # Rounded half up: what is called n kilometres is between n - 0.5 and n + 0.5.
        misfit = np.maximum(np.abs(away - np.array(self._km)) - 0.5, 0).sum(axis=1)
        for known, order in zip(apart_km(self._known, origins), np.array(self._order).T, strict=True):
            misfit += np.maximum((known - away) * order, 0).sum(axis=1)
        return np.asarray(misfit)

    def _best_origin(self) -> Floats:
        origins = self._scatter(_ORIGINS, _REACH_KM)
        sample = self._cloud[self._random.choice(len(self._cloud), min(len(self._cloud), 150), replace=False)]
        away = apart_km(sample, origins)
        before = away[:, :, None] < apart_km(self._known, origins).T[None]
        answers = np.floor(away + 0.5) * 2 ** len(self._names) + before @ 2 ** np.arange(len(self._names))
        surprise = [_entropy(answers[:, number]) for number in range(_ORIGINS)]
        return np.asarray(origins[int(np.argmax(surprise))])

    def _scatter(self, count: int, reach_km: float) -> Floats:
        turn = self._random.uniform(0, 2 * np.pi, count)
        away = reach_km * np.sqrt(self._random.uniform(0, 1, count)) / _DEGREE_KM
        east = away * np.sin(turn) / np.cos(np.radians(self._middle[1]))
        return np.asarray(self._middle + np.stack([east, away * np.cos(turn)], axis=1))


def _best(points: Floats, misfit: Floats) -> Floats:
    """Those that contradict nothing; where each contradicts something, the tenth that does so least."""
    least = 0.0 if misfit.min() == 0 else np.quantile(misfit, 0.1)
    return np.asarray(points[misfit <= least][:_CLOUD])


def _entropy(answers: Sequence[float] | Floats) -> float:
    share = np.unique(answers, return_counts=True)[1] / len(answers)
    return float(-(share * np.log(share)).sum())
