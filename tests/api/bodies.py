"""Bodies of requests with defaults, as clients send them."""

from datetime import timedelta

from tests.builders import TONIGHT, tonight
from tests.places import BRIANCON

__all__ = [
    "channel_body",
    "need_body",
    "offer_body",
    "pathway_body",
    "pledge_body",
    "practice_body",
    "project_body",
    "site_body",
    "webhook_body",
]


def need_body(**changes: object) -> dict[str, object]:
    """A family of four tonight in Briançon, changed as told."""
    starts, ends = tonight()
    return {
        "category": "shelter",
        "town": BRIANCON.id,
        "people": {"adults": 2, "minors": 2},
        "from": starts.isoformat(),
        "until": ends.isoformat(),
        "urgency": "vital",
        **changes,
    }


def pathway_body(**changes: object) -> dict[str, object]:
    """A family of four that stays in Briançon: a bed for a week and a shower near it, changed as told."""
    starts, ends = tonight(7)
    window = {"from": starts.isoformat(), "until": ends.isoformat()}
    return {
        "town": BRIANCON.id,
        "people": {"adults": 2, "minors": 2},
        "near_km": 10,
        "steps": [{"category": "shelter", **window}, {"category": "sanitation", **window}],
        **changes,
    }


def project_body(**changes: object) -> dict[str, object]:
    """Two families of a camp in Briançon who move together for a week, changed as told."""
    starts, ends = tonight(7)
    return {
        "town": BRIANCON.id,
        "from": starts.isoformat(),
        "until": ends.isoformat(),
        "together_km": 5,
        "parties": [{"people": {"adults": 2, "minors": 2}}, {"people": {"adults": 3}}],
        **changes,
    }


def site_body(**changes: object) -> dict[str, object]:
    """A gym in Briançon, changed as told."""
    return {
        "name": "Gymnase du Prorel",
        "town": BRIANCON.id,
        "kind": "municipal_building",
        "location": {"type": "Point", "coordinates": [BRIANCON.longitude, BRIANCON.latitude]},
        **changes,
    }


def offer_body(site_id: str, **changes: object) -> dict[str, object]:
    """Ten beds for a week from tonight, each hold to be answered within the hour; changed as told."""
    return {
        "site_id": site_id,
        "category": "shelter",
        "capacity": 10,
        "first_day": TONIGHT.isoformat(),
        "last_day": (TONIGHT + timedelta(days=6)).isoformat(),
        "opens": "19:00",
        "closes": "08:00",
        **changes,
    }


def practice_body(**changes: object) -> dict[str, object]:
    """A school of Briançon opened as a night shelter, changed as told."""
    return {
        "town": BRIANCON.id,
        "doing": "municipal_building",
        "category": "shelter",
        "first_month": "2026-01",
        "places": 30,
        "volunteers": 25,
        "cost_per_year": 48_000,
        "currency": "EUR",
        "means": ["empty_building", "volunteers"],
        "funding": ["donations", "town"],
        "obstacles": ["neighbours"],
        **changes,
    }


def pledge_body(**changes: object) -> dict[str, object]:
    """Four night watches of Briançon for a week from tonight, changed as told."""
    return {
        "skill": "night_watch",
        "headcount": 4,
        "town": BRIANCON.id,
        "radius_km": 20,
        "first_day": TONIGHT.isoformat(),
        "last_day": (TONIGHT + timedelta(days=6)).isoformat(),
        "rrule": "FREQ=DAILY",
        "from": "18:00",
        "until": "09:00",
        "shifts_per_week_max": 6,
        **changes,
    }


def channel_body(**changes: object) -> dict[str, object]:
    """A mailbox that nobody has, told of all; changed as told."""
    return {"address": "night@town-hall.example.org", **changes}


def webhook_body(**changes: object) -> dict[str, object]:
    """All events to a name that nobody has; changed as told."""
    return {"url": "https://hooks.example.org/relais", **changes}
