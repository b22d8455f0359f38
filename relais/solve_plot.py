"""The picture of `relais solve`: before, who needs a place and what is free; after, who goes where."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from matching.engine.problem import TIERS, Floats, Plan, Problem
from relais.problem_file import ProblemFile

__all__ = ["draw"]

_TIER_NAMES = ("vital", "high", "normal")
_PLACES, _SERVED, _WAITING = "#1b6ca8", "#2e7d32", "#c62828"


def draw(described: ProblemFile, problem: Problem, plan: Plan, path: Path) -> None:
    """Draw a map where needs and offers say where they are, else bars of person-nights by tier."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    needs = _positions([need.at for need in described.needs])
    offers = _positions([offer.at for offer in described.offers])
    if needs is None or offers is None:
        _bars(figure.subplots(), problem, plan)
    else:
        before, after = figure.subplots(1, 2, sharex=True, sharey=True)
        _map(before, problem, needs, offers, None)
        _map(after, problem, needs, offers, plan)
        # Under both maps: inside one it would cover a town.
        figure.legend(*after.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)


def _positions(at: list[list[float] | None]) -> Floats | None:
    """(n, 2) degrees; `None` when one is missing."""
    known = [each for each in at if each is not None]
    return np.array(known, np.float64).reshape(-1, 2) if len(known) == len(at) else None


def _map(axes: Axes, problem: Problem, needs: Floats, offers: Floats, plan: Plan | None) -> None:
    size = problem.capacity.max(axis=1, initial=0) + 2
    axes.scatter(offers[:, 0], offers[:, 1], s=size, c=_PLACES, marker="s", alpha=0.5, label="places")
    served = np.zeros(len(needs), bool)
    if plan is not None:
        served[plan.need] = True
        ways = np.stack([needs[plan.need], offers[plan.offer]], axis=1)
        axes.add_collection(LineCollection(list(ways), colors=_SERVED, linewidths=0.5, alpha=0.4))
        axes.scatter(needs[served, 0], needs[served, 1], s=8, c=_SERVED, label="placed")
    axes.scatter(needs[~served, 0], needs[~served, 1], s=8, c=_WAITING, marker="x", label="without a place")
    people = int(problem.people.sum())
    places = int(problem.capacity.max(axis=1, initial=0).sum())
    before = f"before: {people} people, {places} places"
    axes.set_title(before if plan is None else f"after: {int(plan.people.sum())} of {people} people placed")
    # A degree of longitude is shorter than one of latitude.
    axes.set_aspect(float(1 / np.cos(np.radians(np.clip(needs[:, 1].mean(), -80, 80)))) if len(needs) else 1.0)
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")


def _bars(axes: Axes, problem: Problem, plan: Plan) -> None:
    nights = problem.last_night - problem.first_night + 1
    asked = np.bincount(problem.tier, problem.people * nights, TIERS)
    served = np.bincount(problem.tier[plan.need], plan.people * nights[plan.need], TIERS)
    at = np.arange(TIERS)
    axes.bar(at - 0.2, asked, 0.4, color=_WAITING, label="asked for")
    axes.bar(at + 0.2, served, 0.4, color=_SERVED, label="placed")
    axes.set_xticks(at, _TIER_NAMES)
    axes.set_ylabel("person-nights")
    axes.set_title(f"{100 * plan.gap:.2f} % below the bound at most")
    axes.legend()
