"""A server that may take no more of the processor than it is given, as if it had a smaller machine to itself."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from relais.embedded.processes import running_in

__all__ = ["confined"]

_CGROUPS: Final = Path("/sys/fs/cgroup")
_PERIOD: Final = 5_000
"""Microseconds within which its share is counted: few, so that it is slowed down rather than stopped for a while."""


@contextmanager
def confined(data: Path, cores: float) -> Iterator[None]:
    """Give the server of this folder, and what it starts meanwhile, so many cores by a control group of the kernel.

    Raises `OSError` where this user may not make one: it takes root, and a container that lets it.
    """
    first_version = _CGROUPS / "cpu"
    above = first_version if first_version.is_dir() else _CGROUPS
    group = above / "relais-bench"
    group.mkdir(exist_ok=True)
    quota = int(cores * _PERIOD)
    if above == first_version:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (above / "cgroup.subtree_control").write_text("+cpu")
        (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
    try:
        _move(running_in(data), group)
        yield
    finally:
        _move(map(int, (group / "cgroup.procs").read_text().split()), above)
        with suppress(OSError):
            group.rmdir()


def _move(pids: Iterable[int], group: Path) -> None:
    for pid in pids:
        # It may have ended by now.
        with suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))
