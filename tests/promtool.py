"""promtool, which checks rules of Prometheus: the machine's own, or unpacked from the distribution's package.

`python -m tests.promtool` fetches it; `tests.no_route` does so before it leaves the routes.
"""

import shutil
from pathlib import Path

from relais.embedded.packages import unpacked_package

__all__ = ["fetch", "found"]

_PACKAGE = "prometheus"
_PACKAGES = Path(__file__).parents[1] / ".relais" / "packages"


def found() -> Path | None:
    """Where it is, if it is here."""
    installed = shutil.which("promtool")
    trees = _PACKAGES.glob(f"{_PACKAGE}-*/usr/bin/promtool")
    return Path(installed) if installed else next(trees, None)


def fetch() -> Path | None:
    """The same, after taking it from the distribution's packages where it is missing and that can be done."""
    if found() is None:
        unpacked_package(_PACKAGES, _PACKAGE, tell=print)
    return found()


if __name__ == "__main__":
    print(fetch() or "promtool could not be fetched.")
