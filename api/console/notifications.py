"""By which channels people are told that something waits: add, try, pause and remove them, and set quiet hours."""

import re
from collections.abc import Sequence
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
from matching.refusals import Conflict, Invalid, NotFound

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
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
_ACTS: Final = {
    "test": channels.test,
    "pause": channels.pause,
    "resume": channels.resume,
    "remove": channels.remove,
}


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


@router.get("/console/notifications")
async def list_channels(request: Request, visit: Notifies) -> Response:
    """The channels, and the quiet hours."""
    return await _shown(request, visit, "", 200)


@router.post("/console/notifications")
async def choose(request: Request, visit: Notifies) -> Response:
    """Another language or other quiet hours; both ends left empty are none."""
    form = visit.form
    language, timezone = form.first("language"), form.first("timezone")
    if language not in TELLS_IN or timezone not in await _clocks(visit):
        return await _shown(request, visit, "console.notify.not_offered", 422)
    try:
        quiet = sorted_out(_time(form.first("quiet_from")), _time(form.first("quiet_until")))
        await channels.choose(visit.tx, visit.who.organization_id, None, language, timezone, quiet)
    except Invalid:
        return await _shown(request, visit, "flaw.not_quiet_hours", 422)
    visit.note()
    return gone_to(NOTIFICATIONS)


@router.post("/console/notifications/channels")
async def add(request: Request, visit: Notifies) -> Response:
    """Another channel."""
    address = (visit.form.every("address") or [""])[0][: LONGEST_ADDRESS + 1].strip()
    happenings = [each for each in CHOSEN if each.value in visit.form.every("happening")]
    if kind_of_address(address) is None:
        return await _shown(request, visit, "flaw.not_a_channel_address", 422)
    if not happenings:
        return await _shown(request, visit, "console.notify.nothing", 422)
    try:
        async with visit.tx.begin_nested():
            channel_id = await add_channel(visit.tx, visit.who.organization_id, address, happenings, visit.house)
    except Conflict as conflict:
        return await _shown(request, visit, f"problem.conflict.{conflict.reason}.detail", 409)
    await channels.speak(visit.tx, visit.who.organization_id, visit.language)
    visit.note(channel_id)
    return gone_to(NOTIFICATIONS)


@router.post("/console/notifications/channels/{channel_id}/{act}")
async def act_on(channel_id: UUID, act: str, visit: Notifies) -> Response:
    """Try, pause, resume or remove a channel."""
    if act not in _ACTS:
        raise NotFound
    await _ACTS[act](visit.tx, channel_id, visit.who.organization_id)
    visit.note(channel_id)
    return gone_to(NOTIFICATIONS)


async def _shown(request: Request, visit: Visit, wrong: str, status: int) -> Response:
    chosen = await channels.choice(visit.tx, visit.who.organization_id)
    found = (await channels.page(visit.tx, visit.who.organization_id)).items
    zone = ZoneInfo(chosen.timezone)
    return await page(
        request,
        "notifications",
        status=status,
        wrong=say(wrong, visit.language) if wrong else "",
        channels=[_card(each, zone, visit) for each in found],
        happenings=[(each.value, say(f"console.notify.{each.value}", visit.language)) for each in CHOSEN],
        spoken=[(tag, own_name(tag)) for tag in TELLS_IN],
        chosen=chosen,
        quiet_from=chosen.quiet_from.strftime("%H:%M") if chosen.quiet_from else "",
        quiet_until=chosen.quiet_until.strftime("%H:%M") if chosen.quiet_until else "",
        clocks=await _clocks(visit),
        most=LONGEST_ADDRESS,
    )


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
