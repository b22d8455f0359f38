"""`relais solve`: the engine alone, on a file; for planning, for research, and to compare it with other solvers."""

import json
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from matching.engine.methods import Method
from matching.engine.problem import Plan, Problem
from relais import problem_file
from relais.problem_file import Unreadable
from relais.silence import silent_libraries

__all__ = ["solve"]


def solve(
    file: Annotated[Path, typer.Argument(help="The problem, as docs/solve.md defines it.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the plan; the terminal when not given.")] = None,
    deadline: Annotated[float, typer.Option(min=0.0, max=86_400.0, help="Seconds to think.")] = 10.0,
    method: Annotated[Method, typer.Option(help="How to solve it; auto chooses.")] = Method.AUTO,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="The same seed searches the same way.")] = 0,
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
        plan, seconds = _think(problem, deadline, method, seed)
    written = json.dumps(problem_file.answer(problem, plan, seconds))
    if out is None:
        typer.echo(written)
    else:
        out.write_text(written + "\n")
    if plot is not None:
        from relais.solve_plot import draw  # noqa: PLC0415 - it takes a second to load

        draw(described, problem, plan, plot)
        typer.echo(f"The picture is in {plot}.", err=True)


def _think(problem: Problem, deadline: float, method: Method, seed: int) -> tuple[Plan, float]:
    # No other command is to wait until the engine is loaded.
    from matching.engine.solve import solve as find_plan  # noqa: PLC0415
    from matching.engine.solve import warm  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("Thinking, at most {task.fields[most]:g} s"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("", total=None, most=deadline)
        warm()
        began = perf_counter()
        plan = find_plan(problem, clock=perf_counter, deadline=began + deadline, seed=seed, method=method)
        return plan, perf_counter() - began
