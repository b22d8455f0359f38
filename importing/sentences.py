"""What is wrong with a row, in words; never with what stands in its cells."""

from typing import Final

from matching.refusals import Flaw

__all__ = ["ALIASES", "SENTENCES", "sentence"]

ALIASES: Final = {"site_id": "site", "rrule": "days", "language": "teaches", "location": "longitude"}
"""Columns by what requests call the same thing."""

SENTENCES: Final = {
    # cells
    "required": "this must be filled in",
    "too_long": "this is too long: {most} at most",
    "too_small": "this is too little: {least} at least",
    "too_large": "this is too much: {most} at most",
    "unseen_characters": "this must be one line of characters that can be seen",
    "not_a_whole_number": "a whole number is needed, such as 12",
    "not_a_number": "a number is needed, such as 6.6347",
    "not_a_day": "a day is needed, such as 2026-12-01, or with the day first: 01/12/2026",
    "not_a_local_time": "a time is needed, such as 20:00 or 20h",
    "not_true_or_false": "yes or no is needed",
    "not_one_of": "this is not one of the words that can stand here ({words})",
    "unknown_word": "this is not a word that can stand here; docs/import.md has them all",
    "unknown_language": "there is no such language; write its code, such as fr, or its name",
    "not_a_country": "two letters are needed, such as FR",
    "unknown_days": "weekdays are needed, such as Mon, Wed-Fri, or “every day”",
    # towns and sites
    "town_not_found": "no town that is loaded is called so; look at how it is written, write its number in GeoNames, "
    "or load the towns of its country with `relais import`",
    "town_of_another_country": "the town with this number lies in another country than the row says",
    "several_towns": "several towns are called so; add the country, or write the number of one of them: {towns}",
    "site_not_found": "the organization has no site that is called so here; bring in its sites first",
    "several_sites": "several sites are called so; add the town, or write the id of one of them: {sites}",
    "address_needed": "a meeting point is told beside an address: this must be filled in too",
    "differs_from_row": "this is the same as row {row}, but says otherwise; keep one of the two",
    # what requests are told as well
    "unknown_town": "no town that is loaded has this number",
    "location_far_from_town": "the point lies more than {most} km from the town; look at both, and whether longitude "
    "and latitude changed places",
    "location_in_another_country": "the point lies in another country than the town; look at both",
    "unknown_site": "there is no such site of the organization",
    "unknown_category": "there is no such kind of help",
    "unknown_timezone": "there is no such time zone; write it like Europe/Paris, or leave it out to use the town's",
    "timezone_of_another_country": "this time zone is of another country than the site; leave it out to use the town's",
    "unknown_recurrence": "these days cannot be understood; write weekdays, such as Mon, Wed-Fri",
    "no_day_in_schedule": "it would never be open between the first and the last day",
    "too_many_slots": "this makes more than {most} time slots; make them longer, or the span shorter",
    "before_first_day": "the last day comes before the first",
    "span_too_long": "from the first to the last day there are more than {days} days",
    "in_the_past": "this is over already",
    "too_far_ahead": "this is more than {days} days ahead",
    "anyone_among_others": "it is open to anyone, or reserved for some: not both",
    "language_needed": "a class needs a language, and a level",
    "language_not_used": "only language classes have a language; leave it out",
    "no_night_in_window": "there is no night between these times; shelter is given by the night",
    "arrive_by_needed": "to release the places of those who do not come, say until when people may arrive",
    "outside_opening_hours": "this is not between opening and closing",
    "not_used_here": "this has no meaning for this kind of help; leave it out",
}


def sentence(flaw: Flaw) -> str:
    """What is wrong, without a capital and without a full stop."""
    return SENTENCES.get(flaw.code, flaw.code.replace("_", " ")).format_map(dict(flaw.facts))
