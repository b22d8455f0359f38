"""What people say on their slip, on the wire: to be said, and as they and the poster of their need read it back."""

from typing import Annotated

from pydantic import Field

from api.wire import Instant, TownId, Wire
from db.preferences import NearTown, Said
from matching.vocabulary import Wish

__all__ = ["PreferencesIn", "PreferencesOut"]

_Wishes = Annotated[list[Wish], Field(max_length=len(Wish))]
NearKm = Annotated[int, Field(ge=0, le=500)]
MostKm = Annotated[int, Field(ge=1, le=1000)]


class NearIn(Wire):
    """Near which town they would be; without one, near their own. Within `km` of its middle nothing is lost."""

    town: TownId | None = None
    km: NearKm = 0


class PreferencesIn(Wire):
    """What they would rather have (`near`, `wishes`), and what they would rather wait for than be without.

    It takes the place of all that was said before: what is left out is wished no more. `leave_by` shortens the stay, as
    the organization that posted the need could; a later time than its end changes nothing.
    """

    near: NearIn | None = None
    most_km: MostKm | None = None
    wishes: _Wishes = Field(default_factory=list)
    wait_for: _Wishes = Field(default_factory=list)
    leave_by: Instant | None = None

    def said(self, own_town_id: int, _before: Said) -> Said:
        """As the domain knows it; near no town in words is near their own."""
        near = self.near
        return Said(
            near=None if near is None else NearTown(own_town_id if near.town is None else near.town, near.km),
            most_km=self.most_km,
            wishes=frozenset(self.wishes),
            waits_for=frozenset(self.wait_for),
        )


class NearOut(Wire):
    """Near which town they would be, and how near."""

    town: TownId
    km: NearKm


class PreferencesOut(Wire):
    """What the people said: `near` and `wishes` are weighed, `most_km` and `wait_for` are kept to."""

    near: NearOut | None
    most_km: MostKm | None
    wishes: _Wishes
    wait_for: _Wishes

    @classmethod
    def of(cls, said: Said) -> "PreferencesOut":
        """Render what was said."""
        return cls(
            near=NearOut(town=said.near.town_id, km=said.near.km) if said.near else None,
            most_km=said.most_km,
            wishes=sorted(said.wishes),
            wait_for=sorted(said.waits_for),
        )
