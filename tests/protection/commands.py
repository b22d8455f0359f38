"""The `relais` command with something planted in every argument and option, one at a time.

What a command prints goes to the terminal of who typed it and is not looked at, except of those that export.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from relais.command import main
from tests.places import BRIANCON
from tests.protection.house import OwnHouse
from tests.protection.inputs import Supply

__all__ = ["SERVING", "exported", "inputs_of_commands", "plant_in_commands"]

SERVING = frozenset({("up",), ("demo",), ("stop",)})
"""Commands that start or end a house: nothing is planted there but what they refuse before."""
_EXPORTS = (
    ("audit", "heads", "--json"),
    ("audit", "verify"),
    ("tombstones", "export"),
    ("policy", "show"),
    ("org", "list", "--json"),
    ("whatif", "--seconds", "0.2", "--nights", "2", "--arrivals", f"2@{BRIANCON.id}"),
)
_FILES = frozenset({"file", "heads", "out", "plot"})
Path_ = tuple[str, ...]


def inputs_of_commands() -> Iterator[tuple[Path_, str, tuple[str, ...]]]:
    """Every command's arguments and options that take a value: its words, the input's name, and how it is written."""

    def walk(command: Any, words: Path_) -> Iterator[tuple[Path_, Any]]:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from walk(inner, (*words, name))
        else:
            yield words, command

    for words, command in walk(typer.main.get_command(main), ()):
        yield words, "?", ("--nationality",)
        for parameter in command.params:
            if parameter.name != "help" and not getattr(parameter, "is_flag", False):
                written = () if parameter.param_type_name == "argument" else (parameter.opts[0],)
                yield words, parameter.name, written


def plant_in_commands(house: OwnHouse, organization: str, supply: Supply, folder: Path) -> int:
    """Plant in each; how many were given. None may break."""
    given = 0
    for words, name, written in inputs_of_commands():
        for value in _values(words, name, supply, folder):
            usual = _usual(words, name, organization)
            answer = _run(house, *words, *usual, *written, value)
            assert answer.exception is None or isinstance(answer.exception, SystemExit), (words, name)
            assert words not in SERVING or answer.exit_code == 2, words
            given += 1
    return given


def exported(house: OwnHouse, supply: Supply, folder: Path) -> Iterator[tuple[str, bytes]]:
    """What commands write down to be kept elsewhere or passed on."""
    for words in _EXPORTS:
        answer = _run(house, *words)
        assert answer.exit_code == 0, answer.output
        yield " ".join(words), answer.output.encode()
    problem = folder / "problem.json"
    need = {"people": 2, "tier": 0, "waited_hours": 1, "first_night": 0, "last_night": 0, "divisible": False}
    problem.write_text(
        json.dumps(
            {
                "nights": 1,
                "needs": [{"id": supply.any(), **need}],
                "offers": [{"id": supply.any(), "capacity": [4]}],
                "candidates": [[0, 0, 3]],
            }
        )
    )
    answer = _run(house, "solve", str(problem), "--method", "greedy", "--out", str(folder / "plan.json"))
    assert answer.exit_code == 0, answer.output
    yield "solve", (folder / "plan.json").read_bytes()


def _values(words: Path_, name: str, supply: Supply, folder: Path) -> Iterator[str]:
    if (words[0], name) == ("import", "file"):
        sheet = folder / "planted.csv"
        for header in ("name;town;kind;longitude;latitude;nationality", supply.slug()):
            sheet.write_text(f"{header}\n{';'.join([supply.any()] * 6)}\n")
            yield str(sheet)
    elif name in _FILES:
        for content in (supply.any(), json.dumps({"nationality": supply.any(), supply.slug(): supply.any()})):
            file = folder / "planted.json"
            file.write_text(content)
            yield str(file)
        yield str(folder / "nowhere" / supply.slug())
    elif (words, name) == (("org", "add"), "name"):
        yield supply.any() * 20  # a name that fits would be kept: it is what an organization calls itself
        yield f"{supply.any()}\a"
    else:
        yield from supply.several()


def _usual(words: Path_, planted: str, organization: str) -> Iterator[str]:
    """What the command needs beside what is planted."""
    match words:
        case ("org", "add"):
            yield from () if planted == "kind" else ("--kind", "association")
            yield from () if planted == "name" else ("An association",)
        case ("key", "issue" | "list"):
            yield from () if planted == "organization" else (organization,)
        case ("solve",) | ("policy", "set"):
            yield from () if planted == "file" else ("/nowhere",)
        case ("import", "towns"):
            yield from () if planted == "countries" else ("MC",)
        case ("import", _):
            yield from () if planted == "file" else ("/nowhere.csv",)
            yield from () if planted == "organization" else ("--organization", organization)


def _run(house: OwnHouse, *words: str) -> Any:
    return CliRunner().invoke(main, list(words), env=house.variables)
