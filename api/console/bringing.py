"""Bringing in a spreadsheet: what it is taken for and what would come of it first, then all of it or nothing.

The same as `relais import`, by the same rules. Between the two steps the file waits in the page, sealed for the
session that it was sent in.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from api.console.asking import Named, named
from api.console.checking import flawed
from api.console.forms import File
from api.console.pages import HOUSES, VOLUNTEERS, page
from api.console.sealing import opened, sealed
from api.console.visits import FileRoute, Visit, WritesHouses, gone_to
from api.wording import knows, say
from db import organizations
from importing.columns import Columns, WrongColumns, find, letters_of, safe_header
from importing.gazetteer import Gazetteer
from importing.kinds import Bringing, Kind
from importing.limits import Most, NotASheet
from importing.offers import Offers
from importing.plan import Plan, weigh
from importing.pledges import Pledges
from importing.sentences import ALIASES
from importing.sheet import Sheet, sheet_of
from importing.sites import Sites
from matching.refusals import Flaw, Invalid

__all__ = ["router"]

router = APIRouter(include_in_schema=False, route_class=FileRoute)
_PATH: Final = "/console/import"
_KINDS: Final[Mapping[str, type[Kind[Any]]]] = {kind.name: kind for kind in (Sites, Offers, Pledges)}
MOST_BYTES: Final = 600_000
"""Of a file: sealed and written as a field of a form it must fit into the largest body that is read."""
MOST_ROWS: Final = 300
"""A page is waited for, and no request may take long; the command line takes more."""
_MOST: Final = Most(MOST_ROWS, cells=60_000, unpacked=5_000_000)
"""Reading a workbook takes the processor from all others: about a second for so many cells, and no further."""
_SHOWN: Final = 100
"""Lines of what is new and of what differs; errors and doubts are told all."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A file and what it is said to be; `columns` by our names, as places from 0, or `without` those."""

    kind: type[Kind[Any]]
    file: File
    columns: Mapping[str, int]
    without: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Line:
    """What there is to say of a row."""

    row: str
    words: list[str]


@dataclass(frozen=True, slots=True)
class _Picking:
    """One of our columns, and which of the file's it is taken for."""

    name: str
    words: str
    place: str
    required: bool
    wrong: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What would come of a file."""

    counts: str
    new: list[_Line]
    differing: list[_Line]
    doubts: list[_Line]
    wrong: list[_Line]
    count: int
    """Of what is new: there may be more than are told."""
    more_new: str
    more_differing: str


@router.get(_PATH)
async def ask_for_file(request: Request, visit: WritesHouses) -> Response:
    """Which file, and what is in it."""
    return await _shown(request, visit, None)


@router.post(_PATH)
async def look_at_file(request: Request, visit: WritesHouses) -> Response:
    """Say what would come of it; or, where that was seen and nothing is wrong, bring it in whole."""
    chosen = _chosen(visit)
    if isinstance(chosen, str):
        return await _shown(request, visit, None, trouble=say(f"console.import.{chosen}", visit.language), status=422)
    try:
        sheet = await asyncio.to_thread(_sheet, chosen.file)
    except NotASheet as problem:
        key = f"console.import.{problem.code}"
        return await _shown(request, visit, None, trouble=say(key, visit.language, rows=MOST_ROWS), status=422)
    try:
        columns = _columns(chosen, sheet)
    except WrongColumns as wrong:
        trouble = say("console.import.columns", visit.language)
        pickings = _pickings(chosen, wrong.found, wrong.names, visit.language)
        return await _shown(request, visit, chosen, sheet, pickings, trouble=trouble, status=422)
    pickings = _pickings(chosen, columns, (), visit.language)
    if not visit.form.first("bring"):
        plan = await _plan(visit, chosen.kind, sheet, columns)
        outcome = _outcome(plan, columns, visit.language)
        status = 422 if plan.wrong else 200
        return await _shown(request, visit, chosen, sheet, pickings, outcome=outcome, status=status)
    return await _bring(request, visit, chosen, sheet, columns)


async def _bring(request: Request, visit: Visit, chosen: _Chosen, sheet: Sheet, columns: Columns) -> Response:
    refused: list[Plan[Any]] = []

    async def act() -> str:
        # Of two who bring in the same file the second finds it there.
        await organizations.bringing_in(visit.tx, visit.who.organization_id)
        kind = await _kind(visit, chosen.kind)
        plan = await weigh(kind, sheet.rows, columns)
        if plan.wrong:
            refused.append(plan)
            raise Invalid(tuple(flaw for wrong in plan.wrong for flaw in wrong.flaws))
        visit.note(*[await kind.add(item.terms) for _, item in plan.new])
        visit.ring()
        return VOLUNTEERS if chosen.kind is Pledges else HOUSES

    try:
        return gone_to(await visit.once(act))
    except Invalid:
        if not refused:
            raise
        outcome = _outcome(refused[0], columns, visit.language)
        pickings = _pickings(chosen, columns, (), visit.language)
        return await _shown(request, visit, chosen, sheet, pickings, outcome=outcome, status=422)


def _chosen(visit: Visit) -> _Chosen | str:
    """What was sent, or what is wrong with it in a word."""
    form = visit.form
    kind = _KINDS.get(form.first("kind"))
    if kind is None:
        return "no_kind"
    file = form.files.get("file")
    if file is None and form.words("sheet"):
        content = opened(visit.house.sheet_sealing, _bound(visit), form.words("sheet"))
        if content is None:
            return "too_old"
        file = File(f"x.{form.first('ending')}", content)
    if file is None or not file.content:
        return "no_file"
    if len(file.content) > MOST_BYTES:
        return "large_file"
    # A choice that is not sent was not asked for yet; one that is sent empty says “none of them”.
    said = {
        each.name: form.whole(f"column_{each.name}") for each in kind.columns if f"column_{each.name}" in form.fields
    }
    places = {name: place for name, place in said.items() if place is not None}
    return _Chosen(kind, file, places, frozenset(said.keys() - places.keys()))


def _sheet(file: File) -> Sheet:
    """What is in a file. Raises `NotASheet`."""
    return sheet_of(file.name, file.content, _MOST)


def _columns(chosen: _Chosen, sheet: Sheet) -> Columns:
    """Which is which. Raises `WrongColumns`."""
    return find(chosen.kind.name, chosen.kind.columns, _headers(sheet), chosen.columns, chosen.without)


def _headers(sheet: Sheet) -> tuple[str, ...]:
    """What each column is called, with those that are called nothing."""
    widest = max((len(row.cells) for row in sheet.rows), default=0)
    return sheet.headers + ("",) * (widest - len(sheet.headers))


def _theirs(sheet: Sheet) -> list[Named]:
    """The columns of a file to choose from: by what they are called, and by their letters where that is not enough."""
    headers = _headers(sheet)
    filled = {place for row in sheet.rows for place, cell in enumerate(row.cells) if cell}
    found = []
    for place, header in enumerate(headers):
        if header or place in filled:
            words = header if safe_header(place, header) == header else ""
            alone = bool(words) and headers.count(header) == 1
            found.append(Named(str(place), words if alone else f"{words} ({letters_of(place)})".strip()))
    return found


async def _plan(visit: Visit, kind: type[Kind[Any]], sheet: Sheet, columns: Columns) -> Plan[Any]:
    return await weigh(await _kind(visit, kind), sheet.rows, columns)


async def _kind(visit: Visit, kind: type[Kind[Any]]) -> Kind[Any]:
    house, who = visit.house, visit.who
    gazetteer = Gazetteer(visit.tx, who.towns)
    return kind(Bringing(visit.tx, who.organization_id, gazetteer, house.vault, house.tie_key, house.tombstone_key))


def _outcome(plan: Plan[Any], columns: Columns, language: str) -> _Outcome:
    def line(row: int, *words: str) -> _Line:
        return _Line(say("console.import.row", language, row=row), list(words))

    def more(rows: Sequence[object]) -> str:
        rest = len(rows) - _SHOWN
        return say("console.import.more", language, count=rest) if rest > 0 else ""

    return _Outcome(
        counts=say(
            "console.import.counts",
            language,
            new=len(plan.new),
            there=len(plan.there),
            differing=len(plan.differing),
            wrong=len(plan.wrong),
        ),
        new=[line(row, item.entry.called) for row, item in plan.new[:_SHOWN]],
        differing=[
            line(
                each.row,
                each.entry.called,
                *(
                    say("console.import.differs", language, column=_column(name, language), there=there, said=said)
                    for name, (there, said) in each.fields.items()
                ),
            )
            for each in plan.differing[:_SHOWN]
        ],
        doubts=[line(row, say("console.import.doubt", language)) for row, _ in plan.doubts],
        wrong=[line(each.row, *(_flaw(flaw, columns, language) for flaw in each.flaws)) for each in plan.wrong],
        count=len(plan.new),
        more_new=more(plan.new),
        more_differing=more(plan.differing),
    )


def _flaw(flaw: Flaw, columns: Columns, language: str) -> str:
    """What is wrong in a row and in which column, as the file calls it; never what stands there."""
    name = flaw.at.removeprefix("/").partition("/")[0]
    ours = ALIASES.get(name, name)
    here = f"console.import.flaw.{flaw.code}"
    if knows(here):
        sentence = say(here, language, **dict(flaw.facts))
    else:
        ((sentence,),) = flawed((flaw,), language).values()
    theirs = columns.called(ours) if ours else ""
    where = _column(ours, language) if theirs == ours else theirs
    return f"{where}: {sentence}" if where else sentence


def _column(name: str, language: str) -> str:
    return say(f"console.column.{name}", language) if knows(f"console.column.{name}") else name


def _pickings(chosen: _Chosen, columns: Columns, wrong: tuple[str, ...], language: str) -> list[_Picking]:
    found = []
    for column in chosen.kind.columns:
        place = columns.place_of(column.name)
        shown = "" if place is None else str(place)
        words = _column(column.name, language)
        found.append(_Picking(column.name, words, shown, column.required, column.name in wrong))
    return found


def _bound(visit: Visit) -> bytes:
    """A file is opened by the session that it was sent in, and by no other."""
    return visit.session.id.bytes


async def _shown(
    request: Request,
    visit: Visit,
    chosen: _Chosen | None,
    sheet: Sheet | None = None,
    pickings: list[_Picking] | None = None,
    *,
    outcome: _Outcome | None = None,
    trouble: str = "",
    status: int = 200,
) -> Response:
    language = visit.language
    content = sealed(visit.house.sheet_sealing, _bound(visit), chosen.file.content) if chosen else ""
    return await page(
        request,
        "import",
        status=status,
        kinds=named("console.import.kind", _KINDS, language),
        kind=visit.form.first("kind"),
        needed={
            name: [_column(column.name, language) for column in kind.columns if column.required]
            for name, kind in _KINDS.items()
        },
        sheet=content,
        ending="xlsx" if chosen and chosen.file.name.lower().endswith(".xlsx") else "csv",
        form=uuid4().hex,
        pickings=pickings or [],
        theirs=[
            Named("", say("console.import.none", language)),
            *(_theirs(sheet) if sheet else ()),
        ],
        outcome=outcome,
        trouble=trouble,
        most_rows=MOST_ROWS,
    )
