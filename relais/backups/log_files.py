"""The names of PostgreSQL's log files (WAL segments of 16 MB) in an archive, and which are missing among them."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

__all__ = ["missing"]

_NAME: Final = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})-[0-9a-f]{40}(?:\.\w+)?")
_PER_FOLDER: Final = 256


def missing(names: Iterable[str], first: str) -> list[str]:
    """Of the files from `first` on those that are not among `names`, up to the newest of each timeline.

    `names` as pgBackRest has them, with checksum and ending. That the newest themselves are missing cannot be seen.
    """
    there: dict[int, set[int]] = defaultdict(set)
    for name in names:
        if found := _NAME.fullmatch(name.rpartition("/")[2]):
            there[int(found[1], 16)].add(_place(found[2], found[3]))
    timeline, start = int(first[:8], 16), _place(first[8:16], first[16:24])
    gone: list[str] = []
    while True:
        have = there[timeline]
        last = max((number for number in have if number >= start), default=start)
        gone += [_name(timeline, number) for number in range(start, last + 1) if number not in have]
        later = [each for each in there if each > timeline and there[each]]
        if not later:
            return gone
        # A later timeline leaves the one before in a file that both have, or in the one after its last.
        timeline = min(later)
        start = min(*there[timeline], last + 1)


def _place(folder: str, number: str) -> int:
    return int(folder, 16) * _PER_FOLDER + int(number, 16)


def _name(timeline: int, place: int) -> str:
    return f"{timeline:08X}{place // _PER_FOLDER:08X}{place % _PER_FOLDER:08X}"
