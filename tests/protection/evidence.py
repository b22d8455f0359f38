"""What a run leaves behind besides answers: events, audit, figures, metrics, logs, and all that Redis was told."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import httpx

from db.linking import link_acts
from tests.db.acts import rows
from tests.protection.houses import House, said

__all__ = ["events_so_far", "what_is_left"]

_EVENTS = """
    select kind || ' ' || object_id || ' ' || facts::text as told from event
     where organizations @> array[cast(:organization as uuid)] order by
"""
_IN_ORDER = " id"
# What falls due in one moment is done in the order of ids, or by whichever loop comes first.
_BY_OBJECT = " min(id) over (partition by object_id), id"
_AUDIT = """
    select number || ' ' || role || ' ' || scope || ' ' || act || ' ' || objects::text as told from audit_entry
     where organization_id = :organization order by number
"""


async def what_is_left(house: House, organizations: Mapping[str, UUID]) -> dict[str, list[str]]:
    """By surface: of each organization its events and audit, the operator's figures, and what the processes said."""
    await link_acts(house.engine)
    seen = await _events(house, organizations, "all days", _BY_OBJECT)
    for role, organization in organizations.items():
        seen[f"audit of {role}"] = await _told(house, _AUDIT, organization=organization)
    for table in ("daily_figure", "feedback_count"):
        seen[f"{table} (operator)"] = await _told(house, f"select t::text as told from {table} t order by 1")
    async with httpx.AsyncClient(timeout=90) as http:
        # A line is written once its answer is sent: with this one, all that came before are there.
        await http.get(f"{house.url}/healthz")
        await said(house.logs["api"], "/healthz")
        seen["metrics"] = _metrics((await http.get(f"{house.figures}/metrics")).text)
    seen["log of api"] = house.logs["api"].read_text().splitlines()
    # How often it looks is a matter of time; what it says is not.
    seen["log of worker"] = _without_times(house.logs["worker"].read_text().splitlines())
    seen["redis"] = _without_times(house.told_redis)
    return seen


async def events_so_far(house: House, organizations: Mapping[str, UUID], stage: str) -> dict[str, list[str]]:
    """By surface, the events of each organization in the order in which they were written."""
    return await _events(house, organizations, stage, _IN_ORDER)


async def _events(house: House, organizations: Mapping[str, UUID], stage: str, order: str) -> dict[str, list[str]]:
    return {
        f"events of {role}, {stage}": await _told(house, _EVENTS + order, organization=organization)
        for role, organization in organizations.items()
    }


async def _told(house: House, statement: str, **values: object) -> list[str]:
    return [str(row.told) for row in await rows(house.engine, statement, **values)]


def _metrics(page: str) -> list[str]:
    """Without how long anything took, and what is a matter of the moment."""
    return [line for line in page.splitlines() if not _OF_THE_MOMENT.match(line)]


def _without_times(lines: Sequence[str]) -> list[str]:
    """Each thing once, whenever, in whatever order and however often it was said."""
    for pattern, label in _TIMES:
        lines = [re.sub(pattern, label, line, flags=re.IGNORECASE) for line in lines]
    return sorted({line for line in lines if line.split(" ")[0].upper() not in _EMPTY})


_OF_THE_MOMENT: Final = re.compile(
    r"\w+_(bucket|sum|created|seconds|gap)\b|relais_(pool_|bell_|ear_|requests_in_work|needs_due|capacity_news|acts_)"
)
_TIMES: Final = (
    (r"look:\d+", "look:<time>"),
    # In the order of hashes, which is a run's own, no code stands where it stood.
    (r"(?<=relais:pace:slip:code:)[0-9a-f]+", "<hash of a code>"),
    (r"\b\d{13,16}(\.\d+)?\b", "<time>"),
    (r"(?<= )px \d+", "px <time>"),
    # What is given back is written only where the bucket has not run empty meanwhile: some hundredths of a second.
    (r"keepttl", "px <time>"),
    (r"(psetex \S+) \d+", r"\1 <time>"),
    (r"(psetex arq:job\S+ .*?x02et).*", r"\1 <time>"),
    (r"(psetex arq:queue:health-check) .*", r"\1"),
    (r'"milliseconds": [\d.]+', "<took>"),
    (r'"look_id": "[^"]+"', "<look>"),
    (r'"timestamp": "[^"]+"', "<time>"),
)
_EMPTY: Final = {"SCRIPT", "SELECT", "WATCH", "UNWATCH", "INFO", "PING", "MULTI", "EXEC", "DBSIZE", "CLIENT", "HELLO"}
"""Commands to Redis that carry no key and no value of ours: how often they are sent is a matter of time."""
