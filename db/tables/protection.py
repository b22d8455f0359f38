"""What the database holds, why, how long and who sees it: a line for every table and every column.

`docs/protection.md` is made of this, and a test fails on a table or column that has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["KEPT", "Kept", "page"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A table: why it is there, who sees its rows, how long (`term`, in words) and by which setting.

    `overdue` is a condition on a row that is true when it has outlived its term by `:late` (an interval); `None` where
    rows have no term. `columns` tells of each column, several names before a line where one line is enough.
    """

    why: str
    seen_by: str
    term: str
    columns: dict[str, str] = field(default_factory=dict)
    setting: str | None = None
    overdue: str | None = None


_STAYS: Final = "as long as Relais is used"
_OWNER: Final = "its organization"
_OPERATOR: Final = "the operator"
_SIDES: Final = "the poster of the need and the provider"


def _past(expression: str, unit: str) -> str:
    return f"{expression} < now() - make_interval({unit} => :term) - cast(:late as interval)"


KEPT: Final[dict[str, Kept]] = {
    "admission": Kept(
        "so that people of a town hall sign in as they do elsewhere",
        _OPERATOR,
        "until it is removed, or its key is deleted",
        {
            "id issuer_id": "by which issuer",
            "organization_id key_prefix": "for which organization, and by which key, that nobody can show",
            "claim value": "what it says of whom it admits, of an organization or a group: known names of claims "
            "about a person, and values with an @, are refused",
            "created_at": "when",
        },
    ),
    "alembic_version": Kept(
        "the version of the schema", _OPERATOR, _STAYS, {"version_num": "the newest migration that was run"}
    ),
    "allocation": Kept(
        "who has a place where",
        _SIDES,
        "with its need",
        {
            "id need_id offer_id": "which places for which need",
            "provider_id poster_id": "the two organizations",
            "people": "how many of the party",
            "state reason": "where it stands and why, from closed lists",
            "firm_from held_until last_arrival ends created_at ended_at": "its times",
            "distance_km travel_minutes": "whole kilometres and minutes between the centres of two cells",
            "awaits_people": "whether a project's people have to say yes first",
            "policy_version": "the policy that decided",
            "way terms round_id": "at once or in which round, and what the place cost then, in kilometres by term",
            "version": "counts changes",
        },
        "keep_needs_hours",
        "not exists (select from need n where n.id = r.need_id)",
    ),
    "allocation_slot": Kept(
        "which nights or hours it takes",
        _SIDES,
        "with its need",
        {"allocation_id slot_id": "which", "people taken": "how many, and whether they still count"},
        "keep_needs_hours",
        "not exists (select from allocation a where a.id = r.allocation_id)",
    ),
    "api_key": Kept(
        "to know who asks",
        "the operator: prefix and times",
        "after it was revoked or has expired",
        {
            "id organization_id": "whose",
            "prefix": "the public part that finds it",
            "digest": "a keyed hash of the whole key",
            "scopes": "what it may do",
            "created_at expires_at revoked_at": "its times",
        },
        "keep_keys_days",
        _past("least(r.revoked_at, r.expires_at)", "days"),
    ),
    "audit_entry": Kept(
        "so that misuse can be found",
        _OPERATOR,
        "after the act",
        {
            "organization_id number": "whose chain, and the place in it",
            "at": "when",
            "role scope": "in which role of an organization and with what right; never a person",
            "act": "which call or command, without its content",
            "objects": "ids of what it was done to",
            "hash": "the link: SHA-256 over all this and the link before",
        },
        "keep_audit_days",
        _past("r.at", "days"),
    ),
    "audit_head": Kept(
        "so that the audit can be verified",
        _OPERATOR,
        _STAYS,
        {
            "organization_id number hash at": "the newest link of each chain",
            "pruned_number pruned_hash pruned_seal": "the last link that was deleted, vouched for by a keyed hash",
        },
    ),
    "audit_pending": Kept(
        "acts that are not linked to their chain yet",
        _OPERATOR,
        "until the worker has linked them, mostly within a second",
        {"id organization_id at role scope act objects": "as in `audit_entry`"},
    ),
    "association_load": Kept(
        "so that load is spread over associations",
        "the operator; explanations say of an offer that its association carries more than its share",
        "until the next count, a minute later",
        {
            "organization_id load counted_at": (
                "which association carries far more than its share tonight, how much, and as of when"
            )
        },
    ),
    "capacity_news": Kept(
        "word that places appeared",
        "nobody",
        "until the worker has read it, mostly within a second",
        {"id": "its order", "offer_id": "where"},
    ),
    "channel": Kept(
        "by which addresses people of an organization are told that something waits",
        _OWNER,
        "until it is removed",
        {
            "id organization_id": "whose",
            "kind": "e-mail, or the service that the address names",
            "address": "the address: ciphertext under a key outside the database",
            "happenings": "what it is told of, from a closed list",
            "state reason failures failing_since fault told_at try_at": "how telling it goes",
            "created_at version": "when it was added, and counts changes",
        },
    ),
    "category": Kept(
        "the kinds of help", "everybody", _STAYS, {"code coverage": "its name and how nights or hours are covered"}
    ),
    "competence": Kept(
        "so that it can be said whose legal duty an unmet need was",
        "everybody",
        _STAYS,
        {"version duties published_at": "by country and category the duty and its legal basis, and since when"},
    ),
    "daily_figure": Kept(
        "evidence: what was asked for and what there was",
        "the operator; published as figures that nobody can be found in",
        _STAYS,
        {
            "day town_id category": "of what: the day on which needs begin, in their town; the first day that is not "
            "closed, where their week is",
            "measure part": "what was counted: needs, people, served, nights, no_show, withdrawn, unmet by first "
            "reason, minutes waited in parts; people served by kind of organization and in which town (that "
            "one or another), unmet by first reason and by whose duty it was, by minutes waited, and all others",
            "count parties": "how many, and how many needs stand behind it",
        },
    ),
    "event": Kept(
        "facts for those concerned",
        "the organizations named in it",
        "after it happened",
        {
            "id transaction at": "its order and time",
            "kind object_id": "what happened to what",
            "organizations": "who may hear of it",
            "facts": "ids, states and codes; never a place, a person or a head-count",
        },
        "keep_events_days",
        _past("r.at", "days"),
    ),
    "feed_mark": Kept(
        "so that who reads events knows when some are not kept any more",
        "nobody",
        _STAYS,
        {
            "name transaction": "`purged`, `era`, `webhooks` or `webhooks_era`, and a place in the feed",
            "event_id": "the last event deleted for its age or laid out for webhooks; how often the feed began anew",
        },
    ),
    "feedback_count": Kept(
        "how people found it, counted",
        _OPERATOR,
        _STAYS,
        {
            "day town_id category": "when, and for which help asked for in which town: no need, no offer, no hour",
            "word times": "how often a word of a closed list was said",
        },
    ),
    "figure": Kept(
        "public figures, as they were told",
        "everybody",
        _STAYS,
        {
            "span first_day area category": "of which week or month, town, country or network, and kind of help",
            "measure part value": "what was counted and how many; what could point to somebody is not in it",
        },
    ),
    "figure_period": Kept(
        "so that a week is told once and never otherwise",
        "everybody",
        _STAYS,
        {
            "span first_day state closed_at published_at": "which week or month, and where it stands",
            "policy_version competence_version": "under which policy, and by which table of duties",
        },
    ),
    "idempotency": Kept(
        "so that a request sent twice acts once",
        "whoever sends the same request with a live key of the organization",
        "after the answer",
        {
            "organization_id": "whose",
            "key fingerprint": "keyed hashes of the key and of the request",
            "status headers body": "the answer, without any slip code or address",
            "answered_at": "when",
        },
        "keep_answers_hours",
        _past("r.answered_at", "hours"),
    ),
    "issuer": Kept(
        "so that people of a town hall sign in as they do elsewhere",
        "the operator; anybody its name, on the page where one signs in",
        "until it is removed",
        {
            "id name url": "what it is called, and its address",
            "client_id": "what it calls this house",
            "secret": "by which it knows this house: ciphertext under a key outside the database",
            "scopes also_at pkce asks_again": "how it is asked",
            "created_at": "when",
        },
    ),
    "need": Kept(
        "what one party needs",
        "the organization that posted it; of its party the provider of a place sees head-counts and requirements",
        "after it has ended",
        {
            "id organization_id": "whose",
            "category town_id cell point": "what and around where: the centre of a cell of the town",
            "adults minors people": "how many; no names, ages, origins or papers",
            "starts ends posted_at deadline ended_at unmet_at": "its times",
            "urgency tier stay": "how urgent, and whether people travel on, from closed lists",
            "audience requires countries max_km divisible teaches level": "what a place must have, from closed lists",
            "state unmet_reasons": "where it stands; which rules failed, counted",
            "look_at fruitless failures parked_at refer_at": "when the matching looks again, and when at pacts",
            "pathway_id project_id step": "of which pathway or project, and as which of its needs",
            "searched_town_id searched_km": "the partner town around which a place is looked for, and how far it is",
            "slip": "a keyed hash of its code: finds the need for who has the code, and gives no code away",
            "feedback_given": "whether its people told how it was; what they told is only counted, without the need",
            "version": "counts changes",
        },
        "keep_needs_hours",
        _past("r.ended_at", "hours"),
    ),
    "pathway": Kept(
        "needs of one party that are placed as one plan",
        "the organization that posted it",
        "with the last of its needs",
        {
            "id organization_id": "whose",
            "near_km": "how far from the bed the other steps may lie",
            "posted_at": "when",
            "slip": "a keyed hash of its code: finds its needs for who has the code, and gives no code away",
        },
        "keep_needs_hours",
        "not exists (select from need n where n.pathway_id = r.id) and "
        "r.posted_at < now() - make_interval(hours => :term) - cast(:late as interval)",
    ),
    "notice": Kept(
        "so that no channel is told twice of one thing",
        _OWNER,
        "with its allocation or referral; a test since it was asked for",
        {
            "id channel_id": "for which channel",
            "allocation_id referral_id happening": "of which allocation, and that it awaits a word, runs out soon or "
            "is confirmed; or of which referral, and that it is to be answered",
            "state try_at failures leased_until settled_at created_at": "how telling it goes; the text is nowhere",
        },
        "keep_deliveries_days",
        "r.happening = 'test' and " + _past("r.created_at", "days"),
    ),
    "notification_choice": Kept(
        "so that people are told in their language, and not at night",
        _OWNER,
        _STAYS,
        {
            "organization_id": "whose",
            "language timezone quiet_from quiet_until": "the language of the words, and the quiet hours by which clock",
            "version": "counts changes",
        },
    ),
    "offer": Kept(
        "what a site gives",
        "its organization; coordinations of its town, by cell; allocations name it; anybody, at a public place",
        _STAYS,
        {
            "id site_id organization_id category": "what, where, whose",
            "state closed_at": "whether it takes parties, and since when no more",
            "capacity audience provides party_max nights_max teaches level": "for how many and whom",
            "confirmation confirm_within_minutes arrive_by release_no_shows": "how it is confirmed",
            "first_day last_day timezone opens closes rrule slot_minutes": "when",
            "verified_at verify_asked_at": "when somebody said that it is still true",
            "town_id country cell point": "around where: the centre of a cell, never the place",
            "is_public": "whether anybody may know which place it is, as its site says",
            "tie": "a keyed hash that puts equals in an order",
            "created_at version": "when it was made, and counts changes",
        },
    ),
    "organization": Kept(
        "who takes part",
        "the operator, and itself; anybody, in the directory, where it gives at a public place",
        _STAYS,
        {
            "id kind name self_organized": "what it is and is called",
            "created_at version": "when it joined, and counts changes",
        },
    ),
    "organization_town": Kept(
        "where it works", "the operator, and itself", _STAYS, {"organization_id town_id": "which towns"}
    ),
    "pact": Kept(
        "what two towns agreed on",
        "the two organizations that sign it",
        _STAYS,
        {
            "id proposer_id proposer_town_id partner_id partner_town_id": "which organizations, for which towns",
            "state notice_by notice_at ends_at ended_at created_at": "where it stands, who gave notice, its times",
            "version": "counts changes",
        },
    ),
    "pact_signature": Kept(
        "who signed which terms",
        "the two organizations that sign it",
        _STAYS,
        {"pact_id number organization_id signed_at": "an organization, never a person, and when"},
    ),
    "pact_version": Kept(
        "the terms, as they were proposed and signed",
        "the two organizations that sign it",
        _STAYS,
        {
            "pact_id number": "of which pact",
            "to_partner_per_week to_proposer_per_week categories crosses_border transport": "how many, for which help, "
            "over a border or not, who sees to the way",
            "acceptance answer_within_minutes first_day last_day notice_days": "how it is answered, and when it holds",
            "proposed_by proposed_at agreed_at": "which organization proposed it, and since when both have signed",
        },
    ),
    "pact_week": Kept(
        "how many people a week may still come, and what towns did for each other",
        "the two organizations that signed: small counts too, for they handled these people themselves",
        _STAYS,
        {
            "pact_id to_town_id week": "of which pact, towards which town, in which week",
            "people people_placed": "how many people count, and how many of them have a place",
            "referred accepted placed declined expired returned withdrawn": "referrals, counted",
        },
    ),
    "pledge": Kept(
        "volunteers that an association declares, as a number",
        _OWNER,
        "after its last day, once its shifts are deleted",
        {
            "id organization_id": "whose",
            "town_id cell point radius_km": "around which town and how far",
            "skill headcount shifts_per_week_max": "how many with what skill, how often; no names",
            "first_day last_day timezone opens closes rrule": "when",
            "state created_at version": "where it stands",
        },
        "keep_shifts_days",
        _past("r.last_day + 2", "days") + " and not exists (select from shift x where x.pledge_id = r.id)",
    ),
    "pledge_turn": Kept(
        "each time at which they may serve",
        _OWNER,
        "with its pledge",
        {"id pledge_id": "of which pledge", "day starts ends": "when"},
        "keep_shifts_days",
        "not exists (select from pledge p where p.id = r.pledge_id)",
    ),
    "policy": Kept(
        "so that every decision can be explained",
        "everybody",
        _STAYS,
        {"version terms published_at": "weights and limits, and since when"},
    ),
    "project": Kept(
        "parties that move together",
        "the organization that posted it",
        "with the last of its needs",
        {
            "id organization_id": "whose",
            "together_km minimum": "how near each other, and how many people at least",
            "answer_hours plan answer_by": "how long its people may think, about which plan, until when",
            "accepted_plan refused": "which plan they said yes to, and which offers they refused",
            "state posted_at version": "where it stands, since when, and counts changes",
            "slip": "a keyed hash of the code of its representatives",
        },
        "keep_needs_hours",
        "not exists (select from need n where n.project_id = r.id) and "
        "r.posted_at < now() - make_interval(hours => :term) - cast(:late as interval)",
    ),
    "referral": Kept(
        "people passed to a partner town",
        "the two organizations that signed, and the poster of the need; the need's id is the poster's alone",
        "with its need",
        {
            "id need_id pact_id number step": "of which need, under which version of which pact, on which step",
            "poster_id from_id from_town_id to_id to_town_id distance_km": "who passes whom where, and how far",
            "week": "in which week they count",
            "category adults minors audience requires starts ends": "what the partner is asked for: head-counts, codes "
            "and times, nothing else",
            "state reason": "where it stands and why, from closed lists",
            "answer_by return_by answered_at ended_at created_at": "its times",
            "version": "counts changes",
        },
        "keep_needs_hours",
        "not exists (select from need n where n.id = r.need_id)",
    ),
    "practice": Kept(
        "so that the next town can do what works",
        "whoever has a key that reads offers; once withdrawn, its organization",
        _STAYS,
        {
            "id organization_id": "whose; told to others as a name, and who signs pacts by its number too, only where "
            "`named`",
            "town_id doing category audience first_month last_month": "what is done where, for whom, since when",
            "places volunteers paid_hours_per_week cost_per_year currency means funding obstacles": "with what",
            "named": "whether the network is told which organization it is",
            "state created_at changed_at version": "where it stands",
        },
    ),
    "round": Kept(
        "how good decisions were proved to be",
        _OPERATOR,
        "after it was held",
        {
            "id decided_at policy_version method seconds": "when and how",
            "territory": "one of the wide cells in which it was held",
            "needs offers pairs placed moved lost objective bound": "counts and sums over a whole round",
        },
        "keep_rounds_days",
        _past("r.decided_at", "days"),
    ),
    "preference": Kept(
        "so that people say on their slip what they would rather have",
        "its people, and the organization that posted their need",
        "with its need",
        {
            "need_id": "whose",
            "near_town_id near_km": "the town that they would stay near to, and how near",
            "most_km": "how far they go at most",
            "wishes waits_for": "what they would rather have and what they wait for, from a closed list",
        },
        "keep_needs_hours",
        "not exists (select from need n where n.id = r.need_id)",
    ),
    "ride": Kept(
        "so that people who were referred get there",
        "the organization of the town that sees to the way",
        "with its need, and with the need of those who were referred",
        {"need_id referral_id": "the need for transport, and the referral that it is for"},
        "keep_needs_hours",
        "not exists (select from need n where n.id = r.need_id)",
    ),
    "session": Kept(
        "so that a browser that showed a key need not show it again",
        _OWNER,
        "until it is signed out, its key ends or its twelve hours are over",
        {
            "id organization_id key_prefix": "whose, and by which key: never a person, a device or an address",
            "digest": "a keyed hash of what the browser's cookie holds",
            "made_at last_used_at ends_at": "its times",
        },
        overdue="r.ends_at < now() - cast(:late as interval)",
    ),
    "shift": Kept(
        "volunteers at a site, as a number",
        "the association and the site's organization",
        "after its end",
        {
            "id pledge_id site_id slot_id": "whose, where",
            "volunteers": "how many",
            "day starts ends created_at": "when",
            "asked asked_at answered_at at_risk_at": "how often and when it was asked whether they still come",
            "state reason version": "where it stands, from closed lists",
        },
        "keep_shifts_days",
        _past("r.ends", "days"),
    ),
    "site": Kept(
        "a place, known by its cell",
        "its organization; offers show its cell and town, the directory what a public one provides",
        _STAYS,
        {
            "id organization_id town_id": "whose, in which town",
            "name": "what its organization calls it: written by them, and shown to them alone",
            "kind visibility provides": "what it is, from closed lists",
            "cell": "a cell of some kilometres; a wider one for homes and rendezvous",
            "staffing_skill staffing_people_per_volunteer staffing_minimum": "how many volunteers it asks for",
            "vetted_by vetted_at": "which organization visited it, and when",
            "created_at version": "when it was added, and counts changes",
        },
    ),
    "site_mark": Kept(
        "so that of two equal places the better one goes first",
        "nobody; from ten parties on it decides between equals",
        _STAYS,
        {"site_id": "of which site", "parties points": "how many parties gave marks, and the sum of those"},
    ),
    "site_location": Kept(
        "where exactly it is",
        "the two sides of a confirmed allocation, in its time, each reading an event",
        "after the last offer at its site has ended",
        {
            "site_id": "of which site",
            "location": "the exact point: ciphertext (AES-256-GCM) under a key outside the database",
            "address": "the way to it and the meeting point: ciphertext as well",
            "has_address": "whether the way was written",
        },
        "keep_addresses_days",
        _past("(select created_at from site where id = r.site_id)", "days")
        + """ and not exists (select from offer o where o.site_id = r.site_id
                             and not """
        + _past("least(o.closed_at, cast(o.last_day + 1 as timestamptz))", "days")
        + ")",
    ),
    "slot": Kept(
        "a dated piece of an offer's capacity",
        "those who see its offer",
        "after its end, once no allocation shows it",
        {
            "id offer_id": "of which offer",
            "day starts ends last_arrival": "when",
            "capacity used price priced_at": "how many places, how many taken, how scarce and as of when",
            "version": "counts changes",
        },
        "keep_slots_days",
        _past("r.ends", "days") + " and not exists (select from allocation_slot k where k.slot_id = r.id)",
    ),
    "slot_staffing": Kept(
        "how many people its volunteers can serve",
        "those who see its offer",
        "with its slot",
        {"slot_id": "of which slot", "places staffed kept": "places of the room, people served, people kept"},
        "keep_slots_days",
        "not exists (select from slot s where s.id = r.slot_id)",
    ),
    "tombstone": Kept(
        "so that a restored backup brings nothing back",
        _OPERATOR,
        "after the purge",
        {"name": "a keyed hash of an id that was deleted", "purged_at": "when"},
        "keep_tombstones_days",
        _past("r.purged_at", "days"),
    ),
    "town": Kept(
        "the gazetteer",
        "everybody",
        _STAYS,
        {
            "id name country timezone population roles": "from GeoNames; its roles in the network",
            "longitude latitude cell point": "where: a town is no secret",
        },
    ),
    "town_load": Kept(
        "so that load is spread over towns",
        "the operator; explanations say of an offer that its town carries more than its share",
        "until the next count, a minute later",
        {"town_id load counted_at": "which town carries far more than its share tonight, how much, and as of when"},
    ),
    "town_name": Kept(
        "to find a town",
        "everybody",
        _STAYS,
        {"town_id name folded": "a name in some script, and the same without accents"},
    ),
    "travel_time": Kept(
        "so that ways are weighed and told in minutes",
        "nobody; allocations tell the minutes of theirs",
        "after it was asked for",
        {
            "from_cell to_cell": "two cells in which anybody may wait and any place may lie",
            "minutes asked_at": "how long the way by road takes, as the routing engine said, and when",
        },
        "keep_travel_days",
        _past("r.asked_at", "days"),
    ),
    "webhook": Kept(
        "where an organization wants to be told of events",
        _OWNER,
        _STAYS,
        {
            "id organization_id": "whose",
            "url": "the address: ciphertext under a key outside the database",
            "kinds objects": "which events, from closed lists",
            "generation rotated_at retired_at": "how often its secret was changed, and when; no secret is stored",
            "state reason disabled_at succeeded_at failures failing_since try_at": "how telling it goes",
            "created_at version": "when it was made, and counts changes",
        },
    ),
    "webhook_delivery": Kept(
        "events that a webhook has not taken yet; one that it took is deleted at once",
        _OWNER,
        "since it waits or was parked",
        {
            "id webhook_id": "its order, and for which webhook",
            "event_id kind object_id at facts": "the event as its organization may hear of it",
            "state since try_at attempts failures tried_at leased_until": "how telling it goes",
            "answered trouble": "the status of the last answer, and why it was not taken, from a closed list",
        },
        "keep_deliveries_days",
        _past("r.since", "days"),
    ),
}
"""By table. PostGIS' own are not ours."""


def page(described: dict[str, str]) -> Iterator[str]:
    """The part of `docs/protection.md` that says what is stored; `described` are the settings with their defaults."""
    yield "| table | why | kept | seen by |"
    yield "|---|---|---|---|"
    for name, kept in KEPT.items():
        term = f"{kept.term}: {described[kept.setting]}" if kept.setting else kept.term
        yield f"| `{name}` | {kept.why} | {term} | {kept.seen_by} |"
    for name, kept in KEPT.items():
        yield ""
        yield f"**`{name}`**"
        yield ""
        for columns, line in kept.columns.items():
            yield f"- {', '.join(f'`{column}`' for column in columns.split())}: {line}"
