"""Reading a calendar as its readers do: by the library of PyPI, and by ical.js where it is installed."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import pytest
from icalendar import Calendar

from tests.conftest import ROOT

__all__ = ["Entry", "by_ical_js", "by_icalendar"]

_NODE: Final = ROOT / "tests" / "node"


@dataclass(frozen=True)
class Entry:
    """An entry as a reader understands it; its times in UTC."""

    starts: datetime
    ends: datetime
    sequence: int
    status: str
    summary: str


def by_icalendar(written: bytes) -> Mapping[str, Entry]:
    """The entries by their ids; the time zones are those that stand in the calendar."""
    read = Calendar.from_ical(written)
    return {
        str(event.uid): Entry(
            _moment(event.start),
            _moment(event.end),
            int(event.sequence),
            str(event.status),
            str(event.summary),
        )
        for event in read.events
    }


def _moment(told: date) -> datetime:
    assert isinstance(told, datetime)
    return told.astimezone(UTC)


def by_ical_js(written: bytes) -> Mapping[str, Entry]:
    """The same by ical.js; the test is skipped where it is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine")
    if not (_NODE / "node_modules" / "ical.js").is_dir():
        pytest.skip("npm's ical.js is not installed: make setup does it where npm is")
    ran = subprocess.run([node, "calendar.js"], cwd=_NODE, input=written, capture_output=True, check=True)
    entries = [json.loads(line) for line in ran.stdout.decode().splitlines()]
    return {
        each["uid"]: Entry(
            datetime.fromisoformat(each["starts"]),
            datetime.fromisoformat(each["ends"]),
            each["sequence"],
            each["status"],
            each["summary"],
        )
        for each in entries
    }
