"""Whether people have been in their place: told once, for feedback, for weeks of pacts and for projects."""

from typing import Final

__all__ = ["BEEN_THERE"]

BEEN_THERE: Final = """
    (a.state in ('arrived', 'completed', 'no_show')
     or (a.state = 'confirmed'
         and (select min(s.starts) from allocation_slot k join slot s on s.id = k.slot_id
               where k.allocation_id = a.id) <= clock_timestamp()))
"""
"""Of an allocation `a`: nobody has to press that they have arrived; a night that has begun was kept for them."""
