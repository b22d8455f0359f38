"""A page that anybody may have open: this month. Who leaves the console in a hurry lands here."""

import calendar
from datetime import UTC, datetime, timedelta
from typing import Final

from babel import Locale
from babel.dates import format_date
from fastapi import APIRouter, Request, Response

from api.moments import locale_of
from api.slip import RIGHT_TO_LEFT
from api.wording import language_of
from web.files import POLICY, file_of, path_of
from web.pages import fill

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_OF_A_WORKER: Final = "default-src 'none'; connect-src 'self'"


@router.get("/calendar")
async def show_month(request: Request) -> Response:
    """The days of this month; it names nothing and asks for nothing."""
    language = language_of(request.headers.get("accept-language"))
    locale = Locale.parse(locale_of(language))
    today = datetime.now(UTC).date()
    first = calendar.Calendar(locale.first_week_day)
    # Any week has its days in order: the one of today is as good as another.
    week = [today - timedelta(days=today.weekday() - day) for day in first.iterweekdays()]
    written = fill(
        "calendar",
        language=language,
        direction="rtl" if language in RIGHT_TO_LEFT else "ltr",
        style=path_of("console.css"),
        title=format_date(today, "LLLL y", locale=locale),
        days=[format_date(day, "ccc", locale=locale) for day in week],
        weeks=first.monthdayscalendar(today.year, today.month),
        today=today.day,
    )
    headers = {"Content-Security-Policy": POLICY, "Content-Language": language, "Vary": "Accept-Language"}
    return Response(written, 200, headers, "text/html")


@router.get("/console/files/{name}")
async def send_file(name: str, request: Request) -> Response:
    """A file that pages are made with; smaller on its way where the browser can unpack it."""
    found = file_of(name)
    if found is None:
        return Response(status_code=404)
    # A worker of the map is held to these rules, not to those of the page that began it.
    headers = {"Cache-Control": _FOR_GOOD, "Content-Security-Policy": _OF_A_WORKER, "Vary": "Accept-Encoding"}
    if _unpacks(request.headers.get("accept-encoding", "")):
        return Response(found.zipped, 200, {**headers, "Content-Encoding": "gzip"}, found.media_type)
    return Response(found.content, 200, headers, found.media_type)


def _unpacks(accepted: str) -> bool:
    """Whether who asks takes gzip; one that says a weight is taken to say no."""
    return "gzip" in {each.strip().lower() for each in accepted.split(",")}
