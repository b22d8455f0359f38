"""The picture of `relais whatif`: who has a bed night by night, and why others have none, before and after."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from matching.prospects import Prospect

__all__ = ["draw"]

_ASKED, _WAS, _WOULD = "#c9ced6", "#1b6ca8", "#e07a1f"


def draw(was: Prospect, would: Prospect, words: Mapping[str, str], path: Path) -> None:
    """Draw both prospects side by side."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    nights, reasons = figure.subplots(1, 2, width_ratios=(3, 2))
    _nights(nights, was, would)
    _reasons(reasons, was, would, words)
    figure.savefig(path, dpi=120)


def _nights(axes: Axes, was: Prospect, would: Prospect) -> None:
    days = sorted({*was.nights, *would.nights})
    at = np.arange(len(days))
    for off, prospect, color, name in ((-0.2, was, _WAS, "as it is"), (0.2, would, _WOULD, "as it would be")):
        both = [prospect.nights.get(day, (0, 0)) for day in days]
        axes.bar(at + off, [asked for asked, _ in both], 0.38, color=_ASKED)
        bars = axes.bar(at + off, [had for _, had in both], 0.38, color=color, label=f"have a bed, {name}")
        axes.bar_label(bars, padding=2)
    axes.bar(at, np.zeros(len(days)), color=_ASKED, label="ask for one")
    axes.set_xticks(at, [f"{day:%a %d %b}" for day in days], rotation=30 if len(days) > 5 else 0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("people")
    axes.set_title(f"{was.placed} of {was.asked} people have a bed; it would be {would.placed} of {would.asked}")
    axes.margins(y=0.2)
    axes.legend(loc="upper right")


def _reasons(axes: Axes, was: Prospect, would: Prospect, words: Mapping[str, str]) -> None:
    codes = sorted({*was.without, *would.without}, key=lambda code: would.without.get(code, 0))
    if not codes:
        axes.set_axis_off()
        axes.set_title("Nobody stays without")
        return
    at = np.arange(len(codes))
    for off, prospect, color in ((0.2, was, _WAS), (-0.2, would, _WOULD)):
        bars = axes.barh(at + off, [prospect.without.get(code, 0) for code in codes], 0.38, color=color)
        axes.bar_label(bars, padding=2)
    axes.margins(x=0.15)
    axes.set_yticks(at, [fill(words.get(code, code), 24) for code in codes])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("people without a bed")
    axes.set_title("Why others have none")
