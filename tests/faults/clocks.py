"""Clocks that jump: processes are told another time than the machine's, and another again while they run.

libfaketime is a package of the distribution, unpacked beside the servers' programs. It is fetched by `fetch` alone,
which `python -m tests.no_route` calls before it leaves the routes, and so does `python -m tests.faults.clocks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.packages import unpacked_package

__all__ = ["Clock", "fetch", "library"]

_PACKAGE = "libfaketime"
_PACKAGES = Path(__file__).parents[2] / ".relais" / "packages"


@dataclass(frozen=True)
class Clock:
    """A clock that stands in a file: how far it is from the machine's."""

    library: Path
    file: Path

    def set(self, seconds: int) -> None:
        """Be so many seconds ahead of the machine's clock, from this moment on."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        new.rename(self.file)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process must find in its environment to go by it: not for how long things take, which is no time."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }


def fetch() -> None:
    """Have the library here, where it can be had."""
    if library() is None:
        unpacked_package(_PACKAGES, _PACKAGE, tell=print)


def library() -> Path | None:
    """The library, where it is here."""
    trees = [Path("/"), *_PACKAGES.glob(f"{_PACKAGE}-*")]
    found = (file for tree in trees for file in tree.glob("usr/lib/*/faketime/libfaketime.so.1"))
    return next(found, None)


if __name__ == "__main__":
    fetch()
