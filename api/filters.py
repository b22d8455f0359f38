"""Filters of lists that name a code or a town: what is not known is refused, as in a body.

A mistyped one that is passed over answers with an empty list, which reads as if there were nothing.
"""

from typing import Annotated

from fastapi import Depends, Query

from api.transactions import Tx
from api.wire import CategoryCode, KnownCountry, TownId
from db import competences, towns
from matching.refusals import Invalid, NotFound

__all__ = ["Around", "OfCategory", "OfCountry", "OfTown"]

OfCountry = Annotated[KnownCountry | None, Query(description="Of this country alone.")]


async def _category(
    tx: Tx, category: Annotated[CategoryCode | None, Query(description="Of this kind of help alone.")] = None
) -> str | None:
    if category is not None and category not in await competences.categories(tx):
        raise Invalid.one("?category", "unknown_category")
    return category


async def _town(tx: Tx, town: Annotated[TownId | None, Query(description="Of this town alone.")] = None) -> int | None:
    return await _known(tx, "?town", town)


async def _around(tx: Tx, near: Annotated[TownId | None, Query(description="Around this town.")] = None) -> int | None:
    return await _known(tx, "?near", near)


async def _known(tx: Tx, at: str, town: int | None) -> int | None:
    if town is not None:
        try:
            await towns.get(tx, town)
        except NotFound:
            raise Invalid.one(at, "unknown_town") from None
    return town


OfCategory = Annotated[str | None, Depends(_category)]
OfTown = Annotated[int | None, Depends(_town)]
Around = Annotated[int | None, Depends(_around)]
