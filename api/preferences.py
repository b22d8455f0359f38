"""What a caller would like (`Prefer`, RFC 7240): so far, to wait for a first result."""

import re
from typing import Annotated

from fastapi import Depends, Header

from api.house import TheHouse

__all__ = ["Patience"]

_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(?P<seconds>[0-9]{1,4})"?\s*(?=[,;]|$)', re.IGNORECASE)


async def _patience(
    house: TheHouse,
    prefer: Annotated[
        str | None, Header(max_length=200, description="`wait=5`: seconds that the answer may wait for a result.")
    ] = None,
) -> float:
    wanted = _WAIT.search(prefer or "")
    return min(float(wanted["seconds"]), house.settings.wait_seconds) if wanted else 0.0


Patience = Annotated[float, Depends(_patience)]
"""Seconds that the answer may wait, 0 when nothing was said; in a route's signature."""
