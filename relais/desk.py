"""An organization's desk at the API: the calls that its people make, over HTTP like anybody's.

Only what the demonstration says aloud is read from the answers.
"""

import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final, TypeVar
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matching.states import AllocationState, NeedState, PactState
from relais.embedded import StackProblem

__all__ = [
    "Allocation",
    "Body",
    "Desk",
    "DeskProblem",
    "Need",
    "OfferSeen",
    "PactSeen",
    "ReferralSeen",
    "SiteSeen",
    "Times",
]

Body = Mapping[str, object]
"""What is sent, as JSON."""
_PATIENCE_SECONDS: Final = 20.0
_LOOK_AGAIN_SECONDS: Final = 0.1
_THEN: Final = (
    "What was acknowledged until then is kept. What to do: read the files in `.relais/log/`, then start again."
)


class DeskProblem(StackProblem):
    """The service did not do what was asked; the message says so in words, without keys or bodies."""


class _Seen(BaseModel):
    """Part of an answer; what is not read is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Times(_Seen):
    """When one slot begins and ends."""

    starts: datetime
    ends: datetime


class Allocation(_Seen):
    """Places of one offer for the people of one need."""

    id: UUID
    need_id: UUID
    offer_id: UUID
    category: str
    state: AllocationState
    people: int
    distance_km: int
    held_until: datetime | None
    slots: tuple[Times, ...]


class Need(_Seen):
    """A need as its poster sees it."""

    id: UUID
    state: NeedState
    allocations: tuple[Allocation, ...]
    unmet_reasons: Mapping[str, int] | None = None


class SiteSeen(_Seen):
    """A site as its organization sees it."""

    id: UUID
    name: str


class OfferSeen(_Seen):
    """An offer as its organization sees it."""

    id: UUID
    site_id: UUID
    category: str
    last_day: date


class PactSideSeen(_Seen):
    """One of the two towns of a pact."""

    town: int


class PactSeen(_Seen):
    """A pact as one of its towns sees it."""

    id: UUID
    state: PactState
    proposer: PactSideSeen
    partner: PactSideSeen


class ReferralSeen(_Seen):
    """People passed from one town to another, as either sees them."""

    id: UUID
    distance_km: int


class _Page(_Seen):
    items: tuple[Mapping[str, object], ...]
    next: str | None


class _ProblemDocument(_Seen):
    title: str = "no reason given"
    detail: str | None = None
    errors: tuple[Mapping[str, object], ...] = Field(default=())


_T = TypeVar("_T", bound=_Seen)


class Desk:
    """One organization's desk. Every call raises `DeskProblem` when the service refuses or is not there."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self.name = name
        # The environment's proxies are for the world outside, not for a process of our own.
        self._http = httpx.Client(
            base_url=url,
            trust_env=False,
            timeout=_PATIENCE_SECONDS,
            headers={"Authorization": f"Bearer {key}", "Accept-Language": "en"},
        )

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def works(self) -> bool:
        """Whether the service knows this desk's key."""
        return self._send("GET", "/v1/me").status_code == httpx.codes.OK

    def post_site(self, site: Body) -> SiteSeen:
        """Declare a site."""
        return self._post("/v1/sites", site, SiteSeen)

    def sites(self) -> list[SiteSeen]:
        """All sites of the organization."""
        return self._list("/v1/sites", SiteSeen)

    def post_offer(self, offer: Body) -> OfferSeen:
        """Declare an offer."""
        return self._post("/v1/offers", offer, OfferSeen)

    def offers(self) -> list[OfferSeen]:
        """All offers of the organization."""
        return self._list("/v1/offers", OfferSeen)

    def post_need(self, need: Body, seconds: int) -> Need:
        """Post a need and wait some seconds for its first place; it may come back without one."""
        return self._post("/v1/needs", need, Need, {"Prefer": f"wait={seconds}"})

    def need(self, need_id: UUID) -> Need:
        """The need as it stands."""
        return self._read(self._send("GET", f"/v1/needs/{need_id}"), Need)

    def withdraw(self, need_id: UUID) -> bool:
        """End a need; whether it had not ended, or been deleted, before."""
        answer = self._send("POST", f"/v1/needs/{need_id}/withdraw")
        if answer.status_code in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}:
            return False
        self._read(answer, Need)
        return True

    def held(self) -> list[Allocation]:
        """The holds that wait for an answer."""
        return self._list("/v1/allocations", Allocation, state="held")

    def confirm(self, allocation_id: UUID) -> Allocation:
        """Say yes to a hold."""
        return self._post(f"/v1/allocations/{allocation_id}/confirm", None, Allocation)

    def decline(self, allocation_id: UUID, reason: str) -> Allocation:
        """Say no to a hold."""
        return self._post(f"/v1/allocations/{allocation_id}/decline", {"reason": reason}, Allocation)

    def pacts(self) -> list[PactSeen]:
        """All pacts of the organization."""
        return self._list("/v1/pacts", PactSeen)

    def propose_pact(self, pact: Body) -> PactSeen:
        """Propose a pact, which signs it for this town."""
        return self._post("/v1/pacts", pact, PactSeen)

    def sign_pact(self, pact_id: UUID, number: int) -> PactSeen:
        """Sign the version of this number for this town."""
        return self._post(f"/v1/pacts/{pact_id}/sign", {"number": number}, PactSeen)

    def refer(self, need_id: UUID) -> Need:
        """Ask a partner town to take the people of a need."""
        return self._post(f"/v1/needs/{need_id}/refer", None, Need)

    def offered(self) -> list[ReferralSeen]:
        """The referrals that wait for an answer."""
        return self._list("/v1/referrals", ReferralSeen, state="offered")

    def accept_referral(self, referral_id: UUID) -> ReferralSeen:
        """Say yes to people from another town."""
        return self._post(f"/v1/referrals/{referral_id}/accept", None, ReferralSeen)

    def wait_for(self, need_id: UUID, true: Callable[[Need], bool], seconds: float = _PATIENCE_SECONDS) -> Need:
        """Look at a need until something is true of it, or for so many seconds; the need as it stood last."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.need(need_id)
            if true(seen) or time.monotonic() > deadline:
                return seen
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _post(self, path: str, body: Body | None, kind: type[_T], headers: Mapping[str, str] = {}) -> _T:
        told = {"Idempotency-Key": str(uuid4()), **headers}
        return self._read(self._send("POST", path, json=body, headers=told), kind)

    def _list(self, path: str, kind: type[_T], **query: str) -> list[_T]:
        found: list[_T] = []
        cursor: str | None = None
        while True:
            place = {"cursor": cursor} if cursor else {}
            page = self._read(self._send("GET", path, params={**query, **place, "limit": "100"}), _Page)
            found.extend(kind.model_validate(item) for item in page.items)
            cursor = page.next
            if cursor is None:
                return found

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Body | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, json=json, headers=headers, params=params)
        except httpx.TransportError as error:
            raise DeskProblem(
                f"{self.name} could not reach the service ({type(error).__name__} at {method} {path}). {_THEN}"
            ) from error

    def _read(self, answer: httpx.Response, kind: type[_T]) -> _T:
        asked = f"{answer.request.method} {answer.request.url.path}"
        try:
            if answer.is_success:
                return kind.model_validate_json(answer.content)
            problem = _ProblemDocument.model_validate_json(answer.content)
        except ValidationError as error:
            raise DeskProblem(
                f"{self.name} asked {asked} and got an answer that could not be read (status {answer.status_code}). "
                f"{_THEN}"
            ) from error
        why = " ".join([problem.detail or problem.title, *(_flaw(each) for each in problem.errors)])
        raise DeskProblem(f"{self.name} asked {asked} and was refused (status {answer.status_code}): {why} {_THEN}")


def _flaw(error: Mapping[str, object]) -> str:
    return f"{error.get('at')}: {error.get('message')}"
