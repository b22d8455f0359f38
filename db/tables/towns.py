"""Towns of the gazetteer and their names in many scripts."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.metadata import CellColumn, PointColumn, Row, Texts

__all__ = ["Town", "TownName"]


class Town(Row):
    """A place of the gazetteer; the id is GeoNames'. `point` is the centroid of its cell."""

    __tablename__ = "town"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    country: Mapped[str]
    population: Mapped[int]
    timezone: Mapped[str]
    latitude: Mapped[float]
    longitude: Mapped[float]
    cell: Mapped[CellColumn]
    point: Mapped[PointColumn]
    roles: Mapped[Texts]

    __table_args__ = (
        Index("town_country_idx", "country"),
        Index("town_place_idx", "latitude", "longitude", "population"),
    )


class TownName(Row):
    """One name of a town, and the same folded (no accents, no case) for search by prefix."""

    __tablename__ = "town_name"

    town_id: Mapped[int] = mapped_column(ForeignKey("town.id", ondelete="CASCADE"), primary_key=True)
    folded: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]

    __table_args__ = (Index("town_name_folded_idx", "folded", postgresql_ops={"folded": "text_pattern_ops"}),)
