"""A server that may take no more of the processor than it is given, as if it had a smaller machine to itself."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from relais.embedded.processes import running_in

__all__ = ["CannotConfineError", "confined"]

_CGROUPS: Final = Path("/sys/fs/cgroup")
_PERIOD: Final = 5_000
"""Microseconds within which its share is counted: few, so that it is slowed down rather than stopped for a while."""


class CannotConfineError(Exception):
    """The kernel lets the user make no control group: it takes root, and a container that lets it."""


@contextmanager
def confined(data: Path, cores: float) -> Iterator[None]:
    """Give the server of this folder, and what it starts meanwhile, so many cores by a control group of the kernel.

    Raises `CannotConfineError`.
    """
    above = _CGROUPS / "cpu" if (_CGROUPS / "cpu").is_dir() else _CGROUPS
    group = above / "relais-bench"
    try:
        group.mkdir(exist_ok=True)
        _limit(group, int(cores * _PERIOD))
        _move(running_in(data), group)
    except OSError as error:
        _remove(group, above)
        raise CannotConfineError from error
    try:
        yield
    finally:
        _remove(group, above)


def _limit(group: Path, quota: int) -> None:
    if group.parent == _CGROUPS:
        (group.parent / "cgroup.subtree_control").write_text("+cpu")
        (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(quota))


def _remove(group: Path, above: Path) -> None:
    """What still runs in it goes to the group above, without a limit: the bench's server, which ends next."""
    with suppress(OSError):
        _move(map(int, (group / "cgroup.procs").read_text().split()), above)
        group.rmdir()


def _move(pids: Iterable[int], group: Path) -> None:
    for pid in pids:
        # It may have ended by now.
        with suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))
