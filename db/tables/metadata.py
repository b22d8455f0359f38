"""What all tables share: the metadata with its naming convention, and how Python types become columns."""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Annotated, ClassVar
from uuid import UUID

from geoalchemy2 import Geography, WKBElement
from sqlalchemy import ARRAY, BigInteger, Date, DateTime, MetaData, Text, Time, Uuid, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

__all__ = ["CellColumn", "CreatedAt", "Identity", "PointColumn", "Row", "Texts", "Version", "columns", "one_of"]

Identity = Annotated[UUID, mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=text("now()"))]
Version = Annotated[int, mapped_column(server_default=text("1"))]
"""Grows by one with each change; the object's ETag."""
Texts = Annotated[list[str], mapped_column(ARRAY(Text), server_default=text("'{}'"))]
CellColumn = Annotated[int, mapped_column(BigInteger)]
"""An H3 cell."""
PointColumn = Annotated[WKBElement, mapped_column(Geography("POINT", srid=4326, spatial_index=False), nullable=False)]
"""The centroid of a cell: no exact place is ever in a spatial column."""


class Row(DeclarativeBase):
    """The declarative root of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map: ClassVar = {
        str: Text(),
        datetime: DateTime(timezone=True),
        date: Date(),
        time: Time(),
        UUID: Uuid(),
    }


def one_of(column: str, words: Iterable[str]) -> str:
    """The check that keeps a text column to a closed vocabulary."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} in ({listed})"


def columns(table: type[Row], alias: str) -> str:
    """The table's columns by name, for a statement that wants them all.

    A prepared `alias.*` fails once on each connection when a migration adds a column.
    """
    return ", ".join(f"{alias}.{column.name}" for column in table.__table__.columns)
