"""Chromium for tests that look at pages as people do: the machine's own, or the distribution's, unpacked for us alone.

`python -m tests.chromium` fetches it; `tests.no_route` does so before it leaves the routes. Nothing else is downloaded.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relais.embedded.packages import Wanted, library_environment, unpacked_packages
from relais.embedded.problem import StackProblem

__all__ = ["ARGUMENTS", "Chromium", "fetch", "found"]

ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PACKAGES: Final = Path(__file__).parents[1] / ".relais" / "packages"
_WANTED: Final = Wanted(
    "chromium-1",
    "Chromium",
    "Install it by hand with `sudo apt-get install chromium`, then run the tests again.",
    lambda _: ["chromium-headless-shell", "fonts-dejavu-core"],
    ("usr/lib/chromium/chromium-headless-shell",),
)


@dataclass(frozen=True, slots=True)
class Chromium:
    """A program, and what its environment must hold."""

    program: Path
    environment: dict[str, str]


def found() -> Chromium | None:
    """Where it is, if it is here."""
    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    if installed:
        return Chromium(Path(installed), dict(os.environ))
    tree = next(_PACKAGES.glob(f"*-{_WANTED.folder}"), None)
    return _unpacked(tree) if tree else None


def fetch() -> Chromium | None:
    """The same, after taking it from the distribution's packages where it is missing and that can be done."""
    if found() is None:
        try:
            unpacked_packages(_PACKAGES, tell=print, wanted=_WANTED)
        except StackProblem as problem:
            print(problem)
    return found()


def _unpacked(tree: Path) -> Chromium:
    """Its fonts are found by a file of ours: the system may have none, and no list of where they are."""
    fonts = tree / "fonts.conf"
    if not fonts.exists():
        fonts.write_text(
            '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
            f"<dir>{tree}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{tree}/fonts-cache</cachedir>"
            "</fontconfig>"
        )
    environment = {**os.environ, **library_environment(tree), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(tree / "usr/lib/chromium/chromium-headless-shell", environment)


if __name__ == "__main__":
    print(fetch() or "Chromium could not be fetched.")
