"""`relais solve`: the engine alone, on a file; for planning, for research, and to compare it with other solvers."""

import json
import os
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Final

import typer
from rich.console import Console

from matching.engine.methods import Method
from matching.engine.problem import Plan, Problem
from relais import problem_file
from relais.problem_file import Unreadable
from relais.silence import silent_libraries

__all__ = ["solve"]

_MANY_PAIRS: Final = 200_000
"""From which on several processes are worth the seconds that they take to start."""


def solve(
    file: Annotated[Path, typer.Argument(help="The problem, as docs/solve.md defines it.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the plan; the terminal when not given.")] = None,
    deadline: Annotated[float, typer.Option(min=0.0, max=86_400.0, help="Seconds to think.")] = 10.0,
    method: Annotated[Method, typer.Option(help="How to solve it; auto chooses.")] = Method.AUTO,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="The same seed searches the same way.")] = 0,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="How many think side by side; where it is large, one a core if not given."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A picture (PNG): needs and places, before and after.")] = None,
) -> None:
    """Solve a problem file: who goes where, what that is worth, and what no plan can pass."""
    try:
        described = problem_file.read(file)
        problem = described.problem()
    except Unreadable as flaw:
        typer.echo(str(flaw), err=True)
        raise typer.Exit(2) from None
    with silent_libraries():
        plan, seconds = _think(problem, deadline, method, seed, processes)
    written = json.dumps(problem_file.answer(problem, plan, seconds))
    if out is None:
        typer.echo(written)
    else:
        out.write_text(written + "\n")
    if plot is not None:
        from relais.solve_plot import draw  # noqa: PLC0415 - it takes a second to load

        draw(described, problem, plan, plot)
        typer.echo(f"The picture is in {plot}.", err=True)


def _think(problem: Problem, deadline: float, method: Method, seed: int, processes: int | None) -> tuple[Plan, float]:
    # No other command is to wait until the engine is loaded.
    from matching.engine.solve import solve as find_plan  # noqa: PLC0415
    from relais.thinking import clock, shown, thinking_room  # noqa: PLC0415

    many = (os.cpu_count() or 1) if len(problem.need) >= _MANY_PAIRS else 1
    with thinking_room(many if processes is None else processes) as crew:
        began = perf_counter()
        ask = partial(find_plan, problem, clock=clock, deadline=began + deadline, seed=seed, method=method)
        plan = shown(partial(ask, crew=crew), deadline, Console(stderr=True))
        return plan, perf_counter() - began
