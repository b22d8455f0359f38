"""promtool, which checks rules of Prometheus: the machine's own, or unpacked from the distribution's package.

`python -m tests.promtool` fetches it; `tests.no_route` does so before it leaves the routes.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["fetch", "found"]

_FOLDER = Path(__file__).parents[1] / ".relais" / "packages" / "promtool"
_SECONDS = 300


def found() -> Path | None:
    """Where it is, if it is here."""
    installed = shutil.which("promtool")
    if installed:
        return Path(installed)
    kept = _FOLDER / "promtool"
    return kept if kept.exists() else None


def fetch() -> Path | None:
    """The same, after taking it from the distribution's packages where it is missing and that can be done."""
    if found() or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return found()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as scratch:
        _run(Path(scratch), "apt-get", "download", "prometheus")
        for package in Path(scratch).glob("prometheus_*.deb"):
            _run(Path(scratch), "dpkg-deb", "-x", package.name, "tree")
        program = Path(scratch) / "tree" / "usr" / "bin" / "promtool"
        if program.exists():
            program.replace(_FOLDER / "promtool")
    return found()


def _run(folder: Path, *command: str) -> None:
    plain = {**os.environ, "LC_ALL": "C"}
    subprocess.run(command, cwd=folder, env=plain, capture_output=True, timeout=_SECONDS, check=False)


if __name__ == "__main__":
    print(fetch() or "promtool could not be fetched.")
