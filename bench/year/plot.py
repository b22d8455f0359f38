"""The picture of the year: people without a place week by week, what was foretold of some weeks, and who carries."""

from datetime import date
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.year.facts import Network
from bench.year.foretelling import Foretold
from bench.year.load import gini, per_thousand
from bench.year.simulation import Lived

__all__ = ["draw"]

_WITHOUT, _WITH = "#c62828", "#1b6ca8"


def draw(network: Network, without: Lived, with_pacts: Lived, foretold: Foretold, path: Path) -> None:
    """Draw both years side by side."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    weeks, loads = figure.subplots(1, 2, width_ratios=(3, 2))
    _weeks(weeks, without, with_pacts, foretold)
    _loads(loads, network, without, with_pacts)
    figure.savefig(path, dpi=120)


def _weeks(axes: Axes, without: Lived, with_pacts: Lived, foretold: Foretold) -> None:
    # The last week is a day.
    mondays = sorted(without.asked)[:-1]
    for lived, color, name in ((without, _WITHOUT, "without pacts"), (with_pacts, _WITH, "with pacts")):
        axes.plot(_days(mondays), [lived.unmet[monday] for monday in mondays], color=color, label=name)
    for told, color in ((foretold.unmet, _WITHOUT), (foretold.unmet_with_pacts, _WITH)):
        axes.plot(_days(list(told)), list(told.values()), "o", color=color, label="foretold by the what-if")
    axes.set_ylabel("people without a place, by week")
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.set_title(
        f"{without.unmet_people:,} people without a place in the year; with pacts {with_pacts.unmet_people:,}"
    )


def _days(mondays: list[date]) -> NDArray[np.datetime64]:
    return np.array(mondays, "datetime64[D]")


def _loads(axes: Axes, network: Network, without: Lived, with_pacts: Lived) -> None:
    """Lorenz curves: the part of the load that the towns which carry least carry together."""
    for lived, color, name in ((without, _WITHOUT, "without pacts"), (with_pacts, _WITH, "with pacts")):
        load = per_thousand(network, lived.load)
        share = np.append(0.0, np.cumsum(np.sort(load)) / max(sum(load), 1e-9))
        axes.plot(np.linspace(0, 1, len(share)), share, color=color, label=f"{name}: Gini {gini(load):.4f}")
    axes.plot([0, 1], [0, 1], color="#9e9e9e", linestyle=":")
    axes.set_xlabel("towns, those that carry least first")
    axes.set_ylabel("their part of all nights for each thousand inhabitants")
    axes.legend()
    axes.set_title("Who carries")
