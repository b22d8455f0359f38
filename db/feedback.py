"""How it was: told once by the people of a need, and kept as counts that lead back to nobody."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import slip_needs
from db.been_there import BEEN_THERE
from matching.refusals import Conflict
from matching.vocabulary import RATINGS, FeedbackWord

__all__ = ["give_feedback"]

_TELL_ONCE = text("""
    update need set feedback_given = true where id = :need and not feedback_given returning id
""")
_COUNT = text("""
    insert into feedback_count as counted (day, town_id, category, word, times)
    select (now() at time zone 'utc')::date, :town, :category, word, 1
      from unnest(cast(:words as text[])) as word order by word
    on conflict (day, town_id, category, word) do update set times = counted.times + 1
""")
# Where they have been, by site: what was said there is not kept, and who said it neither.
_MARK = text(f"""
    insert into site_mark as marked (site_id, parties, points)
    select distinct o.site_id, 1, cast(:rating as int)
      from allocation a join offer o on o.id = a.offer_id
     where a.need_id = :need
       and {BEEN_THERE}
     order by o.site_id
    on conflict (site_id) do update
       set parties = marked.parties + 1, points = marked.points + excluded.points
""")


async def give_feedback(tx: AsyncConnection, slip: bytes, rating: int, words: Sequence[FeedbackWord]) -> None:
    """Count a mark from 1 to 5 and what was said, once for a need whose people have been in a place.

    Of a pathway, for the first step of which they have not told yet. Raises `NotFound`, and `Conflict` before they were
    there or when they have told already.
    """
    found = await slip_needs.find(tx, slip)
    been = [need for need in found if need.had_a_place]
    need = next((each for each in been if not each.feedback_given), (been or found)[0])
    if not need.had_a_place:
        raise Conflict("nothing_to_tell_yet", need.state)
    if (await tx.execute(_TELL_ONCE, {"need": need.id})).one_or_none() is None:
        raise Conflict("told_before", need.state)
    said = sorted({RATINGS[rating - 1], *words})
    await tx.execute(_COUNT, {"town": need.town_id, "category": need.category, "words": said})
    await tx.execute(_MARK, {"need": need.id, "rating": rating})
