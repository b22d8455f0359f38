"""The table of the matrix: each operation, each place in it that can carry an id, and what that id is of.

A new operation has no row here and fails `test_tenancy_matrix` by name until somebody has thought about who may do it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from tests.api.bodies import offer_body
from tests.builders import TONIGHT, tonight
from tests.pacts import terms_body

__all__ = ["EVERYWHERE", "OUTSIDE_THE_DOCUMENT", "OWNED", "PARTY", "ROWS", "SEEN", "Kind", "Role", "Row"]

Json = dict[str, Any]


class Kind(StrEnum):
    """What an id is of."""

    SITE = "site"
    OFFER = "offer"
    SLOT = "slot"
    NEED = "need"
    ALLOCATION = "allocation"
    PATHWAY = "pathway"
    PROJECT = "project"
    PLEDGE = "pledge"
    SHIFT = "shift"
    PACT = "pact"
    REFERRAL = "referral"
    PARTNER = "partner"
    """An organization, named by who was told its id to propose a pact to it."""
    PRACTICE = "practice"
    """Once it is withdrawn: before that, whoever has a key reads it."""
    WEBHOOK = "webhook"
    CHANNEL = "channel"
    ORGANIZATION = "organization"
    """Named to itself, and to anybody where it gives at a public place."""
    DELIVERY = "delivery"
    """Of a webhook: its id is the event's."""
    TOWN = "town"
    """Of the gazetteer, which is public: nobody's."""
    CODE = "code"
    """Of a slip: whoever has it is one of the people, with a key or without."""
    CURSOR = "cursor"
    """A place in a list of the caller's own; tried in `test_foreign_ids`."""
    VERSION = "version"
    ACT = "act"
    """An idempotency key: of the caller's organization, tried in `test_foreign_ids`."""
    WORDS = "words"
    """Text that is looked up nowhere, or in the gazetteer alone."""


OWNED: Final = frozenset(
    {
        *(Kind.SITE, Kind.OFFER, Kind.SLOT, Kind.NEED, Kind.ALLOCATION, Kind.PLEDGE, Kind.SHIFT),
        *(Kind.PACT, Kind.REFERRAL, Kind.WEBHOOK, Kind.DELIVERY, Kind.ORGANIZATION, Kind.CHANNEL),
        *(Kind.PRACTICE, Kind.PATHWAY, Kind.PROJECT, Kind.WEBHOOK, Kind.DELIVERY),
    }
)
"""What belongs to somebody."""


class Role(StrEnum):
    """What a caller is to an object."""

    OWNER = "its organization"
    POSTER = "who posted the need"
    PROVIDER = "who gives the place"
    PLEDGER = "the association whose volunteers they are"
    HOST = "the organization of the site"
    TOWN = "a coordination of its town, which sees offers by cell"
    RECEIVING = "the town that is asked to take people"
    PARTY = "who signs the pact for one of its towns"
    PEOPLE = "the people themselves, by the code of their slip"
    ANYBODY = "whoever shows no key, where a place is public"


@dataclass(frozen=True)
class Row:
    """An operation: what each place takes, to whom the object is open, and how one who may asks.

    `right` is a body that does what the operation is for; `wrong` are some that fit the document and are refused later,
    or not at all. `denied` is the answer to one who may do such a thing, but not to this object.
    """

    places: Mapping[str, Kind] = field(default_factory=dict)
    open_to: frozenset[Role] = frozenset()
    right: Json | None = None
    wrong: tuple[object, ...] = ()
    denied: int = 404


EVERYWHERE: Final = {
    "header Idempotency-Key": Kind.ACT,
    "header If-Match": Kind.VERSION,
    "header Accept-Language": Kind.WORDS,
    "header prefer": Kind.WORDS,
    "query cursor": Kind.CURSOR,
}
"""Places that mean the same wherever they are."""
CONSOLE: Final = frozenset(
    {
        "/calendar",
        "/console",
        "/console/allocations/{allocation_id}/address",
        "/console/allocations/{allocation_id}/answer",
        "/console/allocations/{allocation_id}/arrive",
        "/console/allocations/{allocation_id}/release",
        "/console/app.webmanifest",
        "/console/changes",
        "/console/figures",
        "/console/figures/report",
        "/console/files/{name}",
        "/console/houses",
        "/console/houses/new",
        "/console/houses/{site_id}/change",
        "/console/houses/{site_id}/offers/new",
        "/console/houses/{site_id}/vet",
        "/console/houses/{site_id}/way",
        "/console/import",
        "/console/language",
        "/console/leave",
        "/console/needs/new",
        "/console/needs/queue",
        "/console/needs/{need_id}",
        "/console/needs/{need_id}/change",
        "/console/needs/{need_id}/refer",
        "/console/needs/{need_id}/withdraw",
        "/console/network",
        "/console/network/map/base",
        "/console/network/map/facts",
        "/console/network/map/towns/{zoom}/{x}/{y}",
        "/console/offers/{offer_id}",
        "/console/offers/{offer_id}/change",
        "/console/offers/{offer_id}/close",
        "/console/offers/{offer_id}/pause",
        "/console/offers/{offer_id}/resume",
        "/console/offers/{offer_id}/slots/{slot_id}",
        "/console/offers/{offer_id}/verify",
        "/console/notifications",
        "/console/notifications/channels",
        "/console/notifications/channels/{channel_id}/pause",
        "/console/notifications/channels/{channel_id}/remove",
        "/console/notifications/channels/{channel_id}/resume",
        "/console/notifications/channels/{channel_id}/test",
        "/console/offline",
        "/console/offline.js",
        "/console/pacts",
        "/console/pacts/new",
        "/console/pacts/{pact_id}/end",
        "/console/pacts/{pact_id}/sign",
        "/console/pacts/{pact_id}/terms",
        "/console/pathways/new",
        "/console/pathways/{pathway_id}",
        "/console/pathways/{pathway_id}/withdraw",
        "/console/pledges/new",
        "/console/pledges/{pledge_id}/change",
        "/console/pledges/{pledge_id}/end",
        "/console/projects/new",
        "/console/projects/{project_id}",
        "/console/projects/{project_id}/answer",
        "/console/projects/{project_id}/withdraw",
        "/console/referrals/{referral_id}/answer",
        "/console/sessions",
        "/console/sessions/others/end",
        "/console/sessions/{session_id}/end",
        "/console/shifts/{shift_id}/answer",
        "/console/sign-in",
        "/console/sign-in/back/{mark}",
        "/console/sign-in/done",
        "/console/sign-in/not/{why}",
        "/console/sign-in/which",
        "/console/sign-in/with/{issuer_id}",
        "/console/sign-out",
        "/console/slips",
        "/console/together",
        "/console/tonight",
        "/console/volunteers",
        "/console/what-if",
    }
)
"""The pages of the console: those that take an id are tried with somebody else's in `tests/console`."""
OUTSIDE_THE_DOCUMENT: Final = CONSOLE | {
    "/openapi.json",
    "/slip",
    "/slip/refuse",
    "/slip/preferences",
    "/slip/feedback",
    "/slip/plan/accept",
    "/slip/plan/refuse",
    "/v1/needs/batch",
}
"""Paths of routes that the document does not name: itself, people's pages, and the refusal of other methods."""
_LAST_YEAR: Final = (TONIGHT - timedelta(days=400)).isoformat()
_OWN: Final = frozenset({Role.OWNER})
_SEEN: Final = frozenset({Role.OWNER, Role.TOWN})
_SIDES: Final = frozenset({Role.PROVIDER, Role.POSTER})
_TOLD_ANYBODY: Final = frozenset({Role.OWNER, Role.TOWN, Role.ANYBODY})
_OF_GIVER: Final = {"query organization_id": Kind.ORGANIZATION}
_OFFER: Final = {"path offer_id": Kind.OFFER}
_SLOT: Final = {"path offer_id": Kind.OFFER, "path slot_id": Kind.SLOT}
_NEED: Final = {"path need_id": Kind.NEED}
_ALLOCATION: Final = {"path allocation_id": Kind.ALLOCATION}
_PATHWAY: Final = {"path pathway_id": Kind.PATHWAY}
_PROJECT: Final = {"path project_id": Kind.PROJECT}
_ANSWERED: Final = _PROJECT | {"body /houses/*": Kind.WORDS}
_PLEDGE: Final = {"path pledge_id": Kind.PLEDGE}
_SHIFT: Final = {"path shift_id": Kind.SHIFT}
_PACT: Final = {"path pact_id": Kind.PACT}
_REFERRAL: Final = {"path referral_id": Kind.REFERRAL}
_RECEIVING: Final = frozenset({Role.RECEIVING})
_PARTY: Final = frozenset({Role.PARTY})
_TERMS_WRONG: Final = (
    {"terms": terms_body(to_partner_per_week=0)},
    {"terms": terms_body(last_day=_LAST_YEAR)},
    {"terms": terms_body(categories=["palace"])},
)
_PRACTICE: Final = {"path practice_id": Kind.PRACTICE}
_WEBHOOK: Final = {"path webhook_id": Kind.WEBHOOK}
_CHANNEL: Final = {"path channel_id": Kind.CHANNEL}
_TOWN: Final = {"body /town": Kind.TOWN}
_SITE: Final = {"path site_id": Kind.SITE}
_HOURS: Final = {"body /rrule": Kind.WORDS, "body /timezone": Kind.WORDS}
_MADE_WRONG: Final = ({"capacity": None}, {"last_day": _LAST_YEAR}, {"rrule": "FREQ=NEVER"})

ROWS: Final[dict[str, Row]] = {
    "GET /v1/me": Row(),
    "GET /v1/towns": Row({"query q": Kind.WORDS, "query near": Kind.TOWN}),
    "GET /v1/towns/{town_id}": Row({"path town_id": Kind.TOWN}),
    "GET /v1/sites": Row(),
    "POST /v1/sites": Row(_TOWN | {"body /name": Kind.WORDS}),
    "GET /v1/sites/{site_id}": Row(_SITE, _OWN),
    "PATCH /v1/sites/{site_id}": Row(
        _SITE | _TOWN | {"body /name": Kind.WORDS},
        _OWN,
        {"provides": ["showers"]},
        ({"name": None}, {"town": 1}, {"location": {"type": "Point", "coordinates": [0, 0]}}),
    ),
    "PUT /v1/sites/{site_id}/address": Row(
        _SITE | {"body /address": Kind.WORDS, "body /meeting_point": Kind.WORDS},
        _OWN,
        {"address": "By the green door"},
        ({"address": ""}, {"address": "a" * 401}),
    ),
    "POST /v1/sites/{site_id}/vet": Row(_SITE, _OWN),
    "GET /v1/offers": Row({"query site_id": Kind.SITE, "query town": Kind.TOWN}, _OWN, denied=200),
    "POST /v1/offers": Row(
        _HOURS | {"body /site_id": Kind.SITE},
        _OWN,
        offer_body("filled in"),
        tuple(
            offer_body("filled in", **wrong)
            for wrong in ({"category": "palace"}, {"last_day": _LAST_YEAR}, {"timezone": "Europe/Rome"})
        ),
        denied=422,
    ),
    "GET /v1/offers/{offer_id}": Row(_OFFER, _SEEN),
    "PATCH /v1/offers/{offer_id}": Row(_OFFER | _HOURS, _OWN, {"capacity": 300}, _MADE_WRONG),
    "POST /v1/offers/{offer_id}/pause": Row(_OFFER, _OWN),
    "POST /v1/offers/{offer_id}/resume": Row(_OFFER, _OWN),
    "POST /v1/offers/{offer_id}/close": Row(_OFFER, _OWN),
    "POST /v1/offers/{offer_id}/verify": Row(_OFFER, _OWN),
    "GET /v1/offers/{offer_id}/slots": Row(_OFFER, _SEEN),
    "PATCH /v1/offers/{offer_id}/slots/{slot_id}": Row(_SLOT, _OWN, {"capacity": 300}, ({"capacity": 0},)),
    "GET /v1/needs": Row(),
    "POST /v1/needs": Row(_TOWN),
    "POST /v1/needs/batch": Row({"body /needs/*/town": Kind.TOWN}),
    "GET /v1/needs/{need_id}": Row(_NEED, _OWN),
    "PATCH /v1/needs/{need_id}": Row(
        _NEED,
        _OWN,
        {"until": tonight()[1].isoformat()},
        ({"people": {"adults": 0}}, {"until": f"{_LAST_YEAR}T09:00:00Z"}, {"urgency": None}),
    ),
    "POST /v1/needs/{need_id}/withdraw": Row(_NEED, _OWN),
    "POST /v1/needs/{need_id}/refer": Row(
        _NEED | {"body /pact_id": Kind.PACT}, frozenset({Role.OWNER, Role.PARTY}), {"pact_id": "filled in"}
    ),
    "GET /v1/needs/{need_id}/explanation": Row(_NEED, _OWN),
    "GET /v1/pathways": Row(),
    "POST /v1/pathways": Row(_TOWN),
    "GET /v1/pathways/{pathway_id}": Row(_PATHWAY, _OWN),
    "POST /v1/pathways/{pathway_id}/withdraw": Row(_PATHWAY, _OWN),
    "GET /v1/projects": Row(),
    "POST /v1/projects": Row(_TOWN),
    "GET /v1/projects/{project_id}": Row(_PROJECT, _OWN),
    "POST /v1/projects/{project_id}/withdraw": Row(_PROJECT, _OWN),
    "POST /v1/projects/{project_id}/accept": Row(_PROJECT, _OWN, {"plan": 1}, ({"plan": 0},)),
    # Houses are looked for among those of the plan alone.
    "POST /v1/projects/{project_id}/refuse": Row(_ANSWERED, _OWN, {"reason": "too_far"}, ({"reason": "full"},)),
    "GET /v1/allocations": Row(),
    "GET /v1/allocations/{allocation_id}": Row(_ALLOCATION, _SIDES),
    "POST /v1/allocations/{allocation_id}/confirm": Row(_ALLOCATION, _SIDES),
    "POST /v1/allocations/{allocation_id}/decline": Row(
        _ALLOCATION, _SIDES, {"reason": "full"}, ({"reason": "afraid"},)
    ),
    "POST /v1/allocations/{allocation_id}/arrive": Row(_ALLOCATION, _SIDES),
    "POST /v1/allocations/{allocation_id}/release": Row(
        _ALLOCATION, _SIDES, {"reason": "too_far"}, ({"reason": "status"},)
    ),
    "POST /v1/allocations/{allocation_id}/no-show": Row(_ALLOCATION, _SIDES),
    "POST /v1/allocations/{allocation_id}/complete": Row(_ALLOCATION, _SIDES),
    "POST /v1/allocations/{allocation_id}/address": Row(_ALLOCATION, _SIDES),
    "GET /v1/pledges": Row(),
    "POST /v1/pledges": Row(_TOWN | _HOURS),
    "GET /v1/pledges/{pledge_id}": Row(_PLEDGE, _OWN),
    "PATCH /v1/pledges/{pledge_id}": Row(
        _PLEDGE, _OWN, {"radius_km": 30}, ({"headcount": None}, {"headcount": 1}, {"radius_km": 0})
    ),
    "GET /v1/shifts": Row(),
    # The host sees who comes, and does not answer for them.
    "POST /v1/shifts/{shift_id}/confirm": Row(_SHIFT, frozenset({Role.PLEDGER})),
    "POST /v1/shifts/{shift_id}/decline": Row(
        _SHIFT, frozenset({Role.PLEDGER}), {"reason": "too_far"}, ({"reason": "no_answer"},)
    ),
    "GET /v1/pacts": Row(),
    "POST /v1/pacts": Row(_TOWN | {"body /partner": Kind.PARTNER, "body /partner_town": Kind.TOWN}),
    "GET /v1/pacts/{pact_id}": Row(_PACT, _PARTY),
    "POST /v1/pacts/{pact_id}/versions": Row(_PACT, _PARTY, {"terms": terms_body()}, _TERMS_WRONG),
    "POST /v1/pacts/{pact_id}/sign": Row(_PACT, _PARTY, {"number": 1}, ({"number": 2}, {"number": 100})),
    "POST /v1/pacts/{pact_id}/end": Row(_PACT, _PARTY),
    "GET /v1/referrals": Row(),
    "GET /v1/referrals/{referral_id}": Row(_REFERRAL, frozenset({Role.RECEIVING, Role.POSTER})),
    "POST /v1/referrals/{referral_id}/accept": Row(_REFERRAL, _RECEIVING),
    "POST /v1/referrals/{referral_id}/decline": Row(
        _REFERRAL, _RECEIVING, {"reason": "no_staff"}, ({"reason": "afraid"},)
    ),
    "GET /v1/practices": Row({"query town": Kind.TOWN, "query near": Kind.TOWN}),
    "POST /v1/practices": Row(_TOWN),
    "GET /v1/practices/{practice_id}": Row(_PRACTICE, _OWN),
    "PATCH /v1/practices/{practice_id}": Row(
        _PRACTICE | _TOWN, _OWN, {"places": 12}, ({"doing": None}, {"town": 1}, {"first_month": "2099-01"})
    ),
    "POST /v1/practices/{practice_id}/withdraw": Row(_PRACTICE, _OWN),
    "GET /v1/export/practices.csv": Row(),
    "GET /v1/changes": Row({"query since": Kind.CURSOR}),
    "GET /v1/events": Row({"header last-event-id": Kind.CURSOR}),
    "GET /v1/webhooks": Row(),
    "POST /v1/webhooks": Row(),
    "GET /v1/webhooks/{webhook_id}": Row(_WEBHOOK, _OWN),
    "POST /v1/webhooks/{webhook_id}/rotate": Row(_WEBHOOK, _OWN),
    "POST /v1/webhooks/{webhook_id}/enable": Row(_WEBHOOK, _OWN),
    "POST /v1/webhooks/{webhook_id}/test": Row(_WEBHOOK, _OWN),
    "POST /v1/webhooks/{webhook_id}/replay": Row(_WEBHOOK, _OWN),
    "GET /v1/webhooks/{webhook_id}/deliveries": Row(_WEBHOOK, _OWN),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": Row(
        _WEBHOOK | {"path delivery_id": Kind.DELIVERY}, _OWN
    ),
    # Last, as there is nothing left then.
    "DELETE /v1/webhooks/{webhook_id}": Row(_WEBHOOK, _OWN),
    "GET /v1/notifications": Row(),
    "PUT /v1/notifications": Row({"body /timezone": Kind.WORDS}),
    "GET /v1/notifications/channels": Row(),
    "POST /v1/notifications/channels": Row(),
    "GET /v1/notifications/channels/{channel_id}": Row(_CHANNEL, _OWN),
    "POST /v1/notifications/channels/{channel_id}/test": Row(_CHANNEL, _OWN),
    "POST /v1/notifications/channels/{channel_id}/pause": Row(_CHANNEL, _OWN),
    "POST /v1/notifications/channels/{channel_id}/resume": Row(_CHANNEL, _OWN),
    # Last, as above.
    "DELETE /v1/notifications/channels/{channel_id}": Row(_CHANNEL, _OWN),
    "GET /v1/policy": Row(),
    "GET /v1/figures": Row({"query town": Kind.TOWN}),
    "GET /v1/export/figures.csv": Row({"query town": Kind.TOWN}),
    "GET /v1/calendar.ics": Row(),
    "GET /v1/export/offers.geojson": Row(),
    "GET /v1/export/hsds": Row(),
    "GET /v1/export/hsds/services": Row(_OF_GIVER, _TOLD_ANYBODY, denied=200),
    "GET /v1/export/hsds/services/{service_id}": Row({"path service_id": Kind.OFFER}, _TOLD_ANYBODY),
    "GET /v1/export/hsds/organizations": Row(),
    "GET /v1/export/hsds/organizations/{organization_id}": Row(
        {"path organization_id": Kind.ORGANIZATION}, _TOLD_ANYBODY
    ),
    "GET /v1/export/hsds/service_at_locations": Row(_OF_GIVER, _TOLD_ANYBODY, denied=200),
    "POST /v1/slip": Row({"body /code": Kind.CODE}),
    "POST /v1/slip/refuse": Row(
        {"body /code": Kind.CODE, "body /place": Kind.ALLOCATION},
        frozenset({Role.PEOPLE}),
        {"code": "filled in", "reason": "too_far"},
        ({"code": "filled in", "reason": "moved_on"}, {"code": "filled in", "reason": "full"}),
    ),
    "POST /v1/slip/preferences": Row({"body /code": Kind.CODE, "body /near/town": Kind.TOWN}),
    "POST /v1/slip/feedback": Row({"body /code": Kind.CODE}),
    "POST /v1/slip/plan": Row({"body /code": Kind.CODE}),
    "POST /v1/slip/plan/accept": Row({"body /code": Kind.CODE}),
    "POST /v1/slip/plan/refuse": Row({"body /code": Kind.CODE, "body /houses/*": Kind.WORDS}),
    "GET /healthz": Row(),
    "GET /readyz": Row(),
}

_TERMS: Final = """
    category capacity audience provides confirmation confirm_within_minutes first_day last_day timezone opens closes
    rrule slot_minutes party_max nights_max arrive_by release_no_shows language
"""
_ALLOCATED: Final = """
    id need_id offer_id category state people party tentative held_until distance_km travel_minutes slots policy_version
    reason created_at version
"""
PARTY: Final = frozenset({"adults", "minors", "audience", "requires"})
"""What the two sides of an allocation see of its party, and nothing else."""
_SLOT_TIMES: Final = "id day starts ends capacity used staffed version"
_PLANNED: Final = """
    id pledge_id site_id town cell skill volunteers starts ends state reason answer_due at_risk created_at version
"""
SEEN: Final[dict[tuple[Role, Kind], frozenset[str]]] = {
    (Role.TOWN, Kind.OFFER): frozenset(f"id site_id town cell state verified_at created_at version {_TERMS}".split()),
    (Role.TOWN, Kind.SLOT): frozenset(_SLOT_TIMES.split()),
    (Role.PROVIDER, Kind.ALLOCATION): frozenset(_ALLOCATED.split()),
    (Role.POSTER, Kind.ALLOCATION): frozenset(_ALLOCATED.split()),
    (Role.PLEDGER, Kind.SHIFT): frozenset(_PLANNED.split()),
    (Role.HOST, Kind.SHIFT): frozenset(_PLANNED.split()),
}
"""What one organization sees of what is not its own alone: these fields, and nothing else.

A coordination sees the offers of its towns and their slots, by cell, and `site_id` of public sites alone. Of an
allocation the provider sees the head-counts and requirements of the one party (`party`), the poster which offer it is.
Of a shift the association sees town and cell of the site, the host how many come with which skill. The way to a place,
which both sides of a confirmed stay read, is `test_p3_reveal`'s; the people's slip is `test_slip`'s.
"""
