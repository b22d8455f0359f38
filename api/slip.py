"""The slip: what the people of a need see with their code, without an account, and what they may do with it.

The code comes in the body and nowhere else. An unknown, an expired and a foreign one answer the same 404.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authorization import Anyone
from api.house import TheHouse
from api.problems import problems
from api.reading import StrictRoute
from api.said import PreferencesIn, PreferencesOut
from api.slip_desk import with_code
from api.wire import CategoryCode, CountryCode, Instant, TimezoneName, Wire
from api.wording import SLIP_LANGUAGES, language_of, say
from db import feedback, own_slip
from db.own_slip import Slip
from db.slip_places import SlipPlace
from db.slips import LONGEST_WRITTEN
from matching.bringing import Thing
from matching.projects import MOST_PARTIES
from matching.reveal import Revealed
from matching.states import AllocationState, NeedState
from matching.vocabulary import FeedbackWord, RefuseReason

__all__ = ["RIGHT_TO_LEFT", "LanguageTag", "router"]

router = APIRouter(prefix="/v1/slip", tags=["slip"], route_class=StrictRoute)
RIGHT_TO_LEFT = frozenset({"ar"})
_MOST_PLACES = 100
_MOST_SLOTS = 1000
Code = Annotated[str, Field(min_length=1, max_length=LONGEST_WRITTEN, examples=["K7QF4-2MRX9-TDWAH"])]
Sentence = Annotated[str, Field(max_length=400)]
LanguageTag = Annotated[
    str | None,
    Header(alias="Accept-Language", max_length=400, description=f"Of {', '.join(SLIP_LANGUAGES)}; else English."),
]


class SlipIn(Wire):
    """The code that the people were given; how it is written matters little."""

    code: Code


class RefuseIn(SlipIn):
    """Why, and which place; without a place all of theirs. `found_elsewhere` and `moved_on` end the search."""

    reason: RefuseReason
    place: UUID | None = None


class FeedbackIn(SlipIn):
    """How it was, from 1 (bad) to 5 (good), and what there is to say. It is counted, and told to nobody as theirs."""

    rating: Annotated[int, Field(ge=1, le=5)]
    words: Annotated[list[FeedbackWord], Field(max_length=len(FeedbackWord))] = Field(default_factory=list)


class PreferIn(PreferencesIn, SlipIn):
    """What the people say of how they would be placed; no place that they have is taken from them by it."""


class SlipTimesOut(Wire):
    """When they may be there."""

    starts: Instant
    ends: Instant


class ThingOut(Wire):
    """Something to bring."""

    code: Thing
    text: Sentence


class SlipPlaceOut(Wire):
    """A place that is held for them or theirs. Where it is stays empty until it is confirmed and near in time."""

    id: UUID
    state: AllocationState
    says: Sentence
    people: Annotated[int, Field(ge=1)]
    times: Annotated[list[SlipTimesOut], Field(max_length=_MOST_SLOTS)]
    arrive_by: Instant
    timezone: TimezoneName
    town: Annotated[str, Field(max_length=200)] | None
    country: CountryCode | None
    name: Annotated[str, Field(max_length=120)] | None
    address: Sentence | None
    meeting_point: Sentence | None
    readable_from: Instant | None
    travel_minutes: Annotated[int, Field(ge=0, description="By road from where it was looked for, about.")] | None
    bring: Annotated[list[ThingOut], Field(max_length=len(Thing))]

    @classmethod
    def of(cls, place: SlipPlace, language: str) -> "SlipPlaceOut":
        """Render one place."""
        known = place.whereabouts
        there = known.there if known else None
        return cls(
            id=place.id,
            state=place.state,
            says=say(f"slip.place.{place.state}", language),
            people=place.people,
            times=[SlipTimesOut(starts=slot.starts, ends=slot.ends) for slot in place.slots],
            arrive_by=place.arrive_by,
            timezone=place.zone.key,
            town=known.town if known else None,
            country=known.country if known else None,
            name=there.name if there else None,
            address=there.text if there and there.what is Revealed.ADDRESS else None,
            meeting_point=there.text if there and there.what is Revealed.MEETING_POINT else None,
            readable_from=known.readable_from if known else None,
            travel_minutes=known.minutes if known else None,
            bring=[ThingOut(code=each, text=say(f"slip.bring.{each}", language)) for each in known.bring]
            if known
            else [],
        )


class SlipPartOut(Wire):
    """One need of theirs: what was asked for, where it stands, and their places."""

    state: NeedState
    says: Sentence
    category: CategoryCode
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    places: Annotated[list[SlipPlaceOut], Field(max_length=_MOST_PLACES)]


class SlipOut(SlipPartOut):
    """A need as its people see it, with sentences in their language; of a pathway the bed, of a project one party.

    `others` are the other steps, or the other parties.
    """

    preferences: PreferencesOut
    others: Annotated[list[SlipPartOut], Field(max_length=MOST_PARTIES)]
    may_give_feedback: bool
    language: Annotated[str, Field(max_length=3)]
    direction: Literal["ltr", "rtl"]

    @classmethod
    def of(cls, slip: Slip, language: str) -> "SlipOut":
        """Render a slip."""
        return cls(
            **_part(slip, language),
            others=[SlipPartOut(**_part(each, language)) for each in slip.others],
            preferences=PreferencesOut.of(slip.said),
            may_give_feedback=slip.may_tell,
            language=language,
            direction="rtl" if language in RIGHT_TO_LEFT else "ltr",
        )


def _part(slip: Slip, language: str) -> dict[str, Any]:
    return {
        "state": slip.state,
        "says": say(f"slip.state.{slip.stands}", language),
        "category": slip.category,
        "from_": slip.starts,
        "until": slip.ends,
        "places": [SlipPlaceOut.of(each, language) for each in slip.places[:_MOST_PLACES]],
    }


@router.post("", responses=problems(404, 422, 429))
async def show_slip(
    body: SlipIn, request: Request, house: TheHouse, _public: Anyone, accept_language: LanguageTag = None
) -> SlipOut:
    """What stands on the slip of this code: state and times, and once it is confirmed where, and what to bring."""
    language = language_of(accept_language, SLIP_LANGUAGES)

    async def act(tx: AsyncConnection, slip: bytes) -> Slip:
        return await own_slip.read(tx, slip, house.vault)

    return SlipOut.of(await with_code(house, request, body.code, act), language)


@router.post("/refuse", responses=problems(404, 409, 422, 429))
async def refuse_place(
    body: RefuseIn, request: Request, house: TheHouse, _public: Anyone, accept_language: LanguageTag = None
) -> SlipOut:
    """The people say no: the place goes to others at once, and that offer is not proposed to them again.

    With `found_elsewhere` and `moved_on` nobody looks for a place for them any more.
    """
    language = language_of(accept_language, SLIP_LANGUAGES)

    async def act(tx: AsyncConnection, slip: bytes) -> Slip:
        await own_slip.refuse(tx, slip, body.place, body.reason)
        return await own_slip.read(tx, slip, house.vault)

    left = await with_code(house, request, body.code, act)
    house.bell.work()
    return SlipOut.of(left, language)


@router.post("/preferences", responses=problems(404, 409, 422, 429))
async def say_preferences(
    body: PreferIn, request: Request, house: TheHouse, _public: Anyone, accept_language: LanguageTag = None
) -> SlipOut:
    """The people say what they would rather have; it counts from the next search on.

    A place that they have stays theirs: to have another one looked for, they refuse it. While its provider was not
    asked yet, a round may move them to one that suits them better. The organization that posted the need reads it too.
    """
    language = language_of(accept_language, SLIP_LANGUAGES)

    async def act(tx: AsyncConnection, slip: bytes) -> Slip:
        await own_slip.prefer(tx, slip, body.said, body.leave_by)
        return await own_slip.read(tx, slip, house.vault)

    told = await with_code(house, request, body.code, act)
    house.bell.work()
    return SlipOut.of(told, language)


@router.post("/feedback", responses=problems(404, 409, 422, 429))
async def give_feedback(
    body: FeedbackIn, request: Request, house: TheHouse, _public: Anyone, accept_language: LanguageTag = None
) -> SlipOut:
    """Tell once how it was. It reaches figures only: what is kept are counts by day, town and word."""
    language = language_of(accept_language, SLIP_LANGUAGES)

    async def act(tx: AsyncConnection, slip: bytes) -> Slip:
        await feedback.give_feedback(tx, slip, body.rating, body.words)
        return await own_slip.read(tx, slip, house.vault)

    return SlipOut.of(await with_code(house, request, body.code, act), language)
