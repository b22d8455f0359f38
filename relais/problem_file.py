"""The file of `relais solve`: read into the engine's arrays, and its plan written out. `docs/solve.md` defines both."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matching.engine.problem import DEFAULT_WEIGHTS, TIERS, Floats, Plan, Problem, Weights

__all__ = ["MOST_BYTES", "Position", "ProblemFile", "Unreadable", "answer", "read"]

MOST_BYTES = 2_000_000_000
_MOST_PEOPLE = 100_000
_MOST_PAIRS = 50_000_000
_SHOWN = 5

Position = Annotated[list[float], Field(min_length=2, max_length=2)]
"""Longitude and latitude."""
Count = Annotated[int, Field(ge=0, le=_MOST_PEOPLE)]


class Unreadable(Exception):  # noqa: N818 - it is the file that is wrong
    """The file cannot be read as a problem; the message says which entry, and what is expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Need(_Strict):
    id: Annotated[str | int, Field()]
    people: Annotated[int, Field(ge=1, le=_MOST_PEOPLE)]
    tier: Annotated[int, Field(ge=0, lt=TIERS)]
    waited_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    first_night: Annotated[int, Field(ge=0)]
    last_night: Annotated[int, Field(ge=0)]
    divisible: bool = False
    at: Position | None = None


class _Offer(_Strict):
    id: Annotated[str | int, Field()]
    capacity: list[Count]
    at: Position | None = None


class _Weights(_Strict):
    tier: Annotated[list[Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=TIERS, max_length=TIERS)]
    km: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ProblemFile(_Strict):
    """A problem as it is written."""

    nights: Annotated[int, Field(ge=1, le=366)]
    needs: Annotated[list[_Need], Field(max_length=1_000_000)]
    offers: Annotated[list[_Offer], Field(max_length=1_000_000)]
    candidates: Annotated[list[tuple[int, int, float]], Field(max_length=_MOST_PAIRS)]
    weights: _Weights | None = None

    def problem(self) -> Problem:
        """The engine's arrays. Raises `Unreadable` for what does not fit together."""
        self._check()
        pairs = np.array(self.candidates, np.float64).reshape(-1, 3)
        weights = self.weights
        return Problem(
            people=np.array([need.people for need in self.needs], np.int64),
            tier=np.array([need.tier for need in self.needs], np.int64),
            waited=np.array([need.waited_hours for need in self.needs], np.float64),
            first_night=np.array([need.first_night for need in self.needs], np.int64),
            last_night=np.array([need.last_night for need in self.needs], np.int64),
            divisible=np.array([need.divisible for need in self.needs], np.bool_),
            capacity=np.array([offer.capacity for offer in self.offers], np.int64).reshape(-1, self.nights),
            need=pairs[:, 0].astype(np.int64),
            offer=pairs[:, 1].astype(np.int64),
            km=pairs[:, 2],
            weights=DEFAULT_WEIGHTS
            if weights is None
            else Weights((weights.tier[0], weights.tier[1], weights.tier[2]), weights.km),
        )

    def _check(self) -> None:
        wrong = [
            f"needs[{number}]: its nights {need.first_night} to {need.last_night} are not in order below {self.nights}"
            for number, need in enumerate(self.needs)
            if not need.first_night <= need.last_night < self.nights
        ]
        wrong += [
            f"offers[{number}]: {len(offer.capacity)} capacities for {self.nights} nights"
            for number, offer in enumerate(self.offers)
            if len(offer.capacity) != self.nights
        ]
        wrong += [
            f"candidates[{number}]: there is no need {need} or no offer {offer}, or {km} is no distance"
            for number, (need, offer, km) in enumerate(self.candidates)
            if not (0 <= need < len(self.needs) and 0 <= offer < len(self.offers) and 0 <= km < np.inf)
        ]
        twice = [
            pair for pair, count in Counter((need, offer) for need, offer, _ in self.candidates).items() if count > 1
        ]
        wrong += [f"candidates: need {need} and offer {offer} are paired more than once" for need, offer in twice]
        if wrong:
            raise Unreadable(_listed(wrong))


def read(path: Path) -> ProblemFile:
    """Read a problem file. Raises `Unreadable`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unreadable(f"{path} is larger than {MOST_BYTES // 10**9} GB.")
        return ProblemFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        flaws = [
            f"{_place(each['loc'])}: {each['msg']}" for each in error.errors(include_url=False, include_input=False)
        ]
        raise Unreadable(_listed(flaws)) from None


def answer(problem: Problem, plan: Plan, seconds: float) -> dict[str, Any]:
    """The plan as it is written."""
    nights = problem.last_night - problem.first_night + 1
    columns = zip(plan.need.tolist(), plan.offer.tolist(), plan.people.tolist(), strict=True)
    assigned = [{"need": need, "offer": offer, "people": people} for need, offer, people in columns]
    served = np.bincount(problem.tier[plan.need], plan.people * nights[plan.need], TIERS)
    return {
        "assignments": assigned,
        "value": {
            "people_nights_by_tier": [int(count) for count in served],
            "km_people": float(plan.people @ _km_of(problem, plan)),
        },
        "objective": plan.objective,
        "bound": plan.certificate.bound,
        "gap": plan.gap,
        "seconds": round(seconds, 3),
        "method": plan.method,
    }


def _km_of(problem: Problem, plan: Plan) -> Floats:
    """(a,) the distance of each assignment; found by halving, since there may be millions of pairs."""
    key = problem.need * len(problem.capacity) + problem.offer
    order = np.argsort(key)
    km: Floats = problem.km[order[np.searchsorted(key, plan.need * len(problem.capacity) + plan.offer, sorter=order)]]
    return km


def _place(location: tuple[int | str, ...]) -> str:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return written.removeprefix(".") or "the file"


def _listed(flaws: list[str]) -> str:
    more = f"\n  and {len(flaws) - _SHOWN} more" if len(flaws) > _SHOWN else ""
    return "The file does not describe a problem:\n" + "\n".join(f"  {flaw}" for flaw in flaws[:_SHOWN]) + more
