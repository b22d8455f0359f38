"""Bodies of requests with defaults, as clients send them."""

from tests.builders import tonight
from tests.places import BRIANCON

__all__ = ["need_body"]


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
