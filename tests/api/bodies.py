"""Bodies of requests with defaults, as clients send them."""

from datetime import timedelta

from tests.builders import TONIGHT, tonight
from tests.places import BRIANCON

__all__ = ["need_body", "offer_body", "site_body"]


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
