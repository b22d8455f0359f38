"""By which channels people are told that something waits: add, try, pause and remove them, and set quiet hours."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from api.console.pages import NOTIFICATIONS, page
from api.console.visits import ConsoleRoute, Notifies, Visit, gone_to
from api.moments import moment, own_name
from api.notifications import add_channel, shown, sorted_out
from api.wording import say
from db import channels, towns
from db.channels import ChannelFacts
from matching.notifying import (
    CHOSEN,
    LONGEST_ADDRESS,
    MAIL,
    TELLS_IN,
    ChannelState,
    Happening,
    PausedFor,
    kind_of_address,
)
from matching.refusals import Conflict, Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
_CHANNELS: Final = f"{NOTIFICATIONS}/channels"
_NAMES: Final = {
    "46elks": "46elks",
    "d7sms": "D7 SMS",
    "freemobile": "Free Mobile",
    "gotifys": "Gotify",
    "matrixs": "Matrix",
    "mmosts": "Mattermost",
    "msgbird": "MessageBird",
    "nctalks": "Nextcloud Talk",
    "ntfys": "ntfy",
    "pover": "Pushover",
    "rockets": "Rocket.Chat",
    "signals": "Signal",
    "smsmgr": "SMS Manager",
    "tgram": "Telegram",
    "voipms": "VoIP.ms",
    "wxteams": "Webex",
}
"""Of services whose address begins otherwise than they are called."""
_CLOCK: Final = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class ChannelCard:
    """A channel as people see it; `trouble` says what is wrong with it, `told` when it took something last."""

    id: UUID
    name: str
    ends_with: str
    happenings: list[str]
    state: str
    trouble: str
    told: str
    paused: bool
    testing: bool


@dataclass(frozen=True, slots=True)
class _Ending:
    """A channel that is about to be removed, as the page asks about it."""

    title: str
    counts: str
    times: str


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is wrong with a form: at which field, none where it is at none, and the words' name."""

    field: str
    message: str
    status: int = 422


@dataclass(frozen=True, slots=True)
class _Hours:
    """Language, clock and quiet hours as they stand in the form."""

    language: str
    timezone: str
    quiet_from: str
    quiet_until: str


@router.get("/console/notifications")
async def list_channels(request: Request, visit: Notifies) -> Response:
    """The channels, and the quiet hours."""
    return await _shown(request, visit)


@router.post("/console/notifications")
async def choose(request: Request, visit: Notifies) -> Response:
    """Another language or other quiet hours; both ends left empty are none."""
    form = visit.form
    asked = _Hours(form.first("language"), form.first("timezone"), form.first("quiet_from"), form.first("quiet_until"))
    clocks = await _clocks(visit)
    for name, written, offered in (("language", asked.language, TELLS_IN), ("timezone", asked.timezone, clocks)):
        if written not in offered:
            return await _shown(request, visit, _Wrong(name, "console.notify.not_offered"), hours=asked)
    try:
        quiet = sorted_out(_time(asked.quiet_from), _time(asked.quiet_until))
    except Invalid:
        return await _shown(request, visit, _Wrong("quiet_until", "flaw.not_quiet_hours"), hours=asked)
    await channels.choose(visit.tx, visit.who.organization_id, None, asked.language, asked.timezone, quiet)
    visit.note()
    return gone_to(NOTIFICATIONS)


@router.post(_CHANNELS)
async def add(request: Request, visit: Notifies) -> Response:
    """Another channel."""
    address = (visit.form.every("address") or [""])[0][: LONGEST_ADDRESS + 1].strip()
    happenings = [each for each in CHOSEN if each.value in visit.form.every("happening")]
    if kind_of_address(address) is None:
        return await _shown(request, visit, _Wrong("address", "flaw.not_a_channel_address"), ticked=happenings)
    if not happenings:
        return await _shown(request, visit, _Wrong("happening", "console.notify.nothing"), ticked=happenings)
    try:
        async with visit.tx.begin_nested():
            channel_id = await add_channel(visit.tx, visit.who.organization_id, address, happenings, visit.house)
    except Conflict as conflict:
        return await _shown(request, visit, _refused(conflict, "address"), ticked=happenings)
    await channels.speak(visit.tx, visit.who.organization_id, visit.language)
    visit.note(channel_id)
    return gone_to(NOTIFICATIONS)


@router.post(f"{_CHANNELS}/{{channel_id}}/test")
async def test(channel_id: UUID, request: Request, visit: Notifies) -> Response:
    """Send a text that says it is a test."""
    try:
        await channels.test(visit.tx, channel_id, visit.who.organization_id)
    except Conflict as conflict:
        return await _shown(request, visit, _refused(conflict, ""))
    return _done(visit, channel_id)


@router.post(f"{_CHANNELS}/{{channel_id}}/pause")
async def pause(channel_id: UUID, visit: Notifies) -> Response:
    """Tell nobody by it until it is resumed."""
    await channels.pause(visit.tx, channel_id, visit.who.organization_id)
    return _done(visit, channel_id)


@router.post(f"{_CHANNELS}/{{channel_id}}/resume")
async def resume(channel_id: UUID, visit: Notifies) -> Response:
    """Tell people by it again."""
    await channels.resume(visit.tx, channel_id, visit.who.organization_id)
    return _done(visit, channel_id)


@router.post(f"{_CHANNELS}/{{channel_id}}/remove")
async def remove(channel_id: UUID, request: Request, visit: Notifies) -> Response:
    """End it with its address, which nobody can read again, once it is said for sure."""
    if visit.form.first("sure"):
        await channels.remove(visit.tx, channel_id, visit.who.organization_id)
        return _done(visit, channel_id)
    facts = await channels.read(visit.tx, channel_id, visit.who.organization_id)
    card = _card(facts, ZoneInfo("UTC"), visit)
    ending = _Ending(card.name, f"…{card.ends_with}", " · ".join(card.happenings))
    return await page(
        request, "sure", question="console.notify.remove.sure", card=ending, answer={}, back=NOTIFICATIONS
    )


def _done(visit: Visit, channel_id: UUID) -> Response:
    visit.note(channel_id)
    return gone_to(NOTIFICATIONS)


def _refused(conflict: Conflict, field: str) -> _Wrong:
    return _Wrong(field, f"problem.conflict.{conflict.reason}.detail", 409)


async def _shown(
    request: Request,
    visit: Visit,
    wrong: _Wrong | None = None,
    ticked: Collection[Happening] = CHOSEN,
    hours: _Hours | None = None,
) -> Response:
    """The page; after a mistake, with what was filled in and what is wrong with it. An address is not shown again."""
    chosen = await channels.choice(visit.tx, visit.who.organization_id)
    found = (await channels.page(visit.tx, visit.who.organization_id)).items
    zone = ZoneInfo(chosen.timezone)
    words = say(wrong.message, visit.language) if wrong else ""
    return await page(
        request,
        "notifications",
        status=wrong.status if wrong else 200,
        wrong=words,
        flawed={wrong.field: [words]} if wrong and wrong.field else {},
        channels=[_card(each, zone, visit) for each in found],
        happenings=[(each.value, say(f"console.notify.{each.value}", visit.language)) for each in CHOSEN],
        ticked=[each.value for each in ticked],
        spoken=[(tag, own_name(tag)) for tag in TELLS_IN],
        hours=hours
        or _Hours(chosen.language, chosen.timezone, _shown_time(chosen.quiet_from), _shown_time(chosen.quiet_until)),
        clocks=await _clocks(visit),
        most=LONGEST_ADDRESS,
    )


def _shown_time(at: time | None) -> str:
    return at.strftime("%H:%M") if at else ""


def _card(facts: ChannelFacts, zone: ZoneInfo, visit: Visit) -> ChannelCard:
    language = visit.language
    paused = facts.state is ChannelState.PAUSED
    failing = facts.reason is PausedFor.FAILING
    state = "failing" if failing else "paused" if paused else "active"
    return ChannelCard(
        id=facts.id,
        name=say("console.notify.mail", language) if facts.kind == MAIL else _NAMES.get(facts.kind, facts.kind.title()),
        ends_with=shown(facts, visit.house),
        happenings=_told_of(facts.happenings, language),
        state=say(f"console.notify.{state}", language),
        trouble=say(f"console.notify.fault.{facts.fault.value}", language) if facts.fault else "",
        told=moment(facts.told_at, zone, language) if facts.told_at else "",
        paused=paused,
        testing=facts.testing,
    )


def _told_of(happenings: Sequence[Happening], language: str) -> list[str]:
    return [say(f"console.notify.{each.value}", language) for each in CHOSEN if each in happenings]


async def _clocks(visit: Visit) -> list[str]:
    """Time zones to choose among: the one chosen, and those of the organization's towns."""
    chosen = await channels.choice(visit.tx, visit.who.organization_id)
    known = await towns.several(visit.tx, visit.who.towns)
    return sorted({chosen.timezone, *(town.timezone for town in known.values())})


def _time(written: str) -> time | None:
    if not written:
        return None
    if not _CLOCK.fullmatch(written):
        raise Invalid(())
    return time.fromisoformat(written)
