"""What each role saw in a run, and how two runs are compared: only what is truly a run's own is made the same.

Ids, codes, cursors and moments become labels in the order of their first appearance, so that it still shows when one
stands where another should. Times of slots and windows are the same in both runs and stay as they are.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff

import httpx

__all__ = ["Recorder", "Records", "differences", "normalised"]

Records = Mapping[str, list[str]]
"""By surface (a role's answers, a log, …), what was seen there, in order."""

_OWN = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<moment>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d(?::\d\d)?)?)"
    r"|(?P<code>\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b)"
    r"|(?P<cursor>(?<=\"next\":\")[^\"]+(?=\")|(?<=cursor=)[\w=-]+)"
    r"|(?P<round>(?<=\"round_id\":)\d+|(?<=round )\d+|(?<=la ronde )\d+)"
    r"|(?P<key>(?<=relais:pace:key:)\w+)"
    r"|(?P<request>(?<=\nx-request-id: )[0-9a-f]{16}|(?<=\"request_id\": \")[0-9a-f]{16})"
    r"|(?P<date>(?<=\ndate: )[^\n]+)"
    r"|(?P<stamp>(?<=\nDTSTAMP:)\d{8}T\d{6}Z|(?<=\nLAST-MODIFIED:)\d{8}T\d{6}Z)"
    r"|(?P<took>(?<=\"milliseconds\": )[\d.]+)"
    r"|(?P<hash>\b[0-9a-f]{32}\b|\b[0-9a-f]{64}\b)"
)


def normalised(seen: Iterable[str]) -> list[str]:
    """The same with labels in the place of what is a run's own."""
    labels: dict[str, dict[str, int]] = defaultdict(dict)

    def label(found: re.Match[str]) -> str:
        kind = str(found.lastgroup)
        # How long something took, and the second of an answer, equal each other by chance.
        if kind in {"took", "date", "stamp"}:
            return f"<{kind}>"
        known = labels[kind]
        return f"<{kind} {known.setdefault(found[0], len(known) + 1)}>"

    return [_OWN.sub(label, each) for each in seen]


def differences(one: Records, other: Records) -> dict[str, str]:
    """By surface, how two runs differ once what is a run's own is set aside; empty when not one byte does."""
    found = {}
    for surface in sorted(one.keys() | other.keys()):
        first, second = normalised(one.get(surface, [])), normalised(other.get(surface, []))
        if first != second:
            found[surface] = "\n".join(_short(first, second))
    return found


def _short(first: list[str], second: list[str]) -> list[str]:
    one, other = ([line for each in side for line in each.split("\n")] for side in (first, second))
    return list(unified_diff(one, other, lineterm="", n=2))[:60]


@dataclass
class Recorder:
    """Notes every request and answer under the role that asked, byte by byte."""

    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stage: str = ""
    """Part of the journey, so that a shorter one can be compared as far as it goes."""

    def client(self, role: str, url: str, key: str | None = None) -> httpx.AsyncClient:
        """A client whose requests and answers are noted under this role; its key is not."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}

        http = httpx.AsyncClient(base_url=url, headers=headers, timeout=90)
        self.listen(role, http)
        return http

    def listen(self, role: str, http: httpx.AsyncClient) -> None:
        """Note from now on what a client asks and is answered."""

        async def note(answer: httpx.Response) -> None:
            await answer.aread()
            self._note(f"{self._surface(role, answer)}, {self.stage}", answer)

        http.event_hooks["response"].append(note)

    def _note(self, surface: str, answer: httpx.Response) -> None:
        # Method, path, body; status, all headers in their order, body.
        asked = answer.request
        path = asked.url.raw_path.decode()
        headers = "\n".join(f"{name.decode().lower()}: {value.decode()}" for name, value in answer.headers.raw)
        body = "" if surface.startswith("input of ") else asked.content.decode()
        self.seen[surface].append(f"{asked.method} {path}\n{body}\n{answer.status_code}\n{headers}\n\n{answer.text}")

    def _surface(self, role: str, answer: httpx.Response) -> str:
        # What only the two sides may read, and requests that state what is secret, stand apart.
        asked = answer.request
        path = asked.url.path
        if path.startswith("/v1/allocations/") and path.endswith("/address"):
            return f"told to {role}" if answer.status_code == 200 else role
        if path.startswith("/v1/sites") and asked.method in {"POST", "PUT", "PATCH"}:
            return f"input of {role}"
        return role
