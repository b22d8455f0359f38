"""Published figures as charts: the numbers of the API and no others, drawn without a script, with a table of each."""

import re
from datetime import date
from io import BytesIO

import pytest
import pytest_asyncio
from pypdf import PdfReader
from sqlalchemy.ext.asyncio import AsyncEngine

from api.wording import LANGUAGES, say
from matching.figures.calendar import WEEK
from matching.figures.measures import Measure
from matching.figures.tables import ALL, Span
from tests.api.conftest import Organization
from tests.console.conftest import Browser, Enter, Shown
from tests.db.acts import rows
from tests.places import BRIANCON, GAP
from tests.published import tell
from web.charts import Row, laid_out

FIGURES = "/console/figures"
FIRST = date(2026, 1, 5)
OUT = Measure.REFERRED_OUT


@pytest_asyncio.fixture(loop_scope="function")
async def reader(enter: Enter, coordination: Organization, engine: AsyncEngine) -> Browser:
    """Somebody who is signed in, when nine weeks and a month were told."""
    for number in range(9):
        await tell(
            engine,
            Span.WEEK,
            FIRST + number * WEEK,
            (ALL, "shelter", Measure.ASKED, "", 1000 + number),
            ("FR", "shelter", Measure.ASKED, "", 300 + number),
            (str(BRIANCON.id), "shelter", Measure.ASKED, "", 100 + number),
            (str(BRIANCON.id), "shelter", Measure.SERVED, "", 60),
            (str(BRIANCON.id), "shelter", Measure.UNMET, "", 22),
            (str(BRIANCON.id), "shelter", Measure.UNMET_FOR, "capacity", 12),
            (str(BRIANCON.id), "shelter", Measure.WAITED, "60", 44),
            (str(BRIANCON.id), "shelter", Measure.WAITED, "never", 23),
            (str(BRIANCON.id), "shelter", Measure.SERVED_BY, "municipality", 51),
            (str(BRIANCON.id), "shelter", Measure.NIGHTS, "", 170),
            (str(BRIANCON.id), "shelter", OUT, "", 31),
            (str(BRIANCON.id), "shelter", OUT, "placed", 19),
            (str(GAP.id), "shelter", Measure.SERVED, "", 80),
            (str(BRIANCON.id), "meal", Measure.ASKED, "", 555),
        )
    await tell(engine, Span.MONTH, date(2026, 1, 1), (ALL, ALL, Measure.ASKED, "", 4321))
    return await enter(coordination.key)


def charts(shown: Shown) -> dict[str, str]:
    """The charts of a page by their ids: what the picture says, and its table."""
    part = re.compile(r'<section class="chart">\s*<h2 id="(\w+)">(.*?)</section>', re.DOTALL)
    return {found[1]: " ".join(re.sub(r"<[^>]+>", " ", found[2]).split()) for found in part.finditer(shown.answer.text)}


async def test_of_a_town_everything_is_drawn_that_was_told_and_nothing_of_others(reader: Browser) -> None:
    shown = await reader.read(f"{FIGURES}?town={BRIANCON.id}")
    found = charts(shown)
    assert list(found) == ["weeks", "why", "nights", "waited", "hosts", "referred"]
    # Eight weeks, the oldest first; of the nine the first is not among them.
    assert "12 Jan 2026: asked 101, found a place 60, were left without 22" in found["weeks"]
    assert "2 Mar 2026: asked 108" in found["weeks"]
    assert "5 Jan 2026" not in found["weeks"]
    assert found["why"].startswith("Why people were left without · 2 Mar 2026")
    assert "no room left: People 12" in found["why"]
    assert "up to an hour: People 44. never held a place: People 23" in found["waited"]
    assert "municipalities: People 51" in found["hosts"]
    passed = "asked for of partner towns 31, of them, found a place there 19, asked for here by partner towns –"
    assert passed in found["referred"]
    for foreign in ("1,00", "30", "555", "80"):
        assert not re.search(rf"\b{foreign}", found["weeks"]), foreign
    assert "<script" not in shown.answer.text.partition("</head>")[2]
    assert "style=" not in shown.answer.text


async def test_each_area_and_kind_of_help_has_its_own_and_the_load_is_of_towns(reader: Browser) -> None:
    whole, france = charts(await reader.read(FIGURES)), charts(await reader.read(f"{FIGURES}?country=FR"))
    assert "2 Mar 2026: asked 1,008, found a place –, were left without –" in whole["weeks"]
    assert "2 Mar 2026: asked 308" in france["weeks"]
    for found in (whole, france):
        assert list(found) == ["weeks", "load"]
        assert "Briançon (FR): People 5.41. Gap (FR): People 1.96" in found["load"]
    meals = charts(await reader.read(f"{FIGURES}?town={BRIANCON.id}&category=meal&from=2026-02-01&until=2026-02-09"))
    assert list(meals) == ["weeks"]
    assert re.findall(r"(\d+ Feb) 2026: asked 555", meals["weeks"]) == ["2 Feb", "9 Feb"]
    month = charts(await reader.read(f"{FIGURES}?span=month&category=*"))
    assert "January 2026: asked 4,321" in month["weeks"]


async def test_the_numbers_are_those_of_the_api(reader: Browser, coordination: Organization) -> None:
    asked: dict[str, str | int] = {"town": BRIANCON.id, "category": "shelter", "limit": 8}
    weeks = (await coordination.http.get("/v1/figures", params=asked)).json()["items"]
    values = [each["value"] for week in reversed(weeks) for each in week["figures"] if each["measure"] == Measure.ASKED]
    found = charts(await reader.read(f"{FIGURES}?town={BRIANCON.id}"))["weeks"]
    assert [int(each) for each in re.findall(r"2026: asked (\d+)", found)] == values


async def test_where_nothing_was_told_it_says_so_and_what_is_not_known_is_refused(
    reader: Browser, enter: Enter
) -> None:
    shown = await reader.read(f"{FIGURES}?until=2020-01-01")
    assert say("console.figures.none", "en") in shown.words
    for wrong in ("town=1", "town=x", "country=XX", "category=palace", "span=day", "from=yesterday"):
        await reader.read(f"{FIGURES}?{wrong}", status=422)
    stranger = await (await enter.browser()).http.get(FIGURES)
    assert stranger.url.path == "/console/sign-in"


async def test_in_every_language_each_chart_has_its_words(
    reader: Browser, enter: Enter, coordination: Organization
) -> None:
    assert reader
    for language in LANGUAGES:
        browser = await enter(coordination.key, **{"Accept-Language": language})
        found = charts(await browser.read(f"{FIGURES}?town={BRIANCON.id}"))
        assert len(found) == 6
        assert say("console.figures.chart.why", language) in found["why"]


async def test_of_a_town_its_monthly_report_is_a_link_away(reader: Browser, engine: AsyncEngine) -> None:
    assert f"{FIGURES}/report" not in (await reader.read(FIGURES)).answer.text
    shown = await reader.read(f"{FIGURES}?town={BRIANCON.id}")
    (path,) = [held["href"] for tag, held in shown.elements if tag == "a" and "report" in held["href"]]
    await tell(engine, Span.MONTH, date(2026, 2, 1), (str(BRIANCON.id), "shelter", Measure.ASKED, "", 7654))
    for month, said in (("2026-01", False), ("2026-02", True)):
        answer = await reader.http.get(path.replace("2026-01", month))
        assert answer.headers["content-type"] == "application/pdf"
        assert f"relais-{BRIANCON.id}-{month}.pdf" in answer.headers["content-disposition"]
        paper = " ".join(page.extract_text() for page in PdfReader(BytesIO(answer.content)).pages)
        assert "Briançon" in paper
        assert ("7,654 people asked" in paper) is said
    for wrong, status in (("2026-03", 404), ("2026-13", 422), ("", 422)):
        await reader.read(path.replace("2026-01", wrong), status=status)


@pytest.mark.parametrize("rtl", [False, True])
def test_bars_are_as_long_as_their_numbers_from_where_one_reads(*, rtl: bool) -> None:
    rows = [Row("one", [100, 50]), Row("two", [None, 25])]
    chart = laid_out("id", "Title", "When", ["a", "b"], rows, told=lambda value: str(value or "–"), rtl=rtl)
    assert chart
    longest, half, none, quarter = [bar for group in chart.groups for bar in group.bars]
    assert (half.width / longest.width, quarter.width / longest.width, none.width) == (0.5, 0.25, 0)
    assert {bar.x + bar.width if rtl else bar.x for bar in (longest, half, quarter)} == {chart.width if rtl else 0}
    assert all(0 <= bar.told_x <= chart.width for bar in (longest, half, none, quarter))
    assert chart.told == [("one", ["100", "50"]), ("two", ["–", "25"])]
    assert laid_out("id", "Title", "When", ["a"], [Row("one", [None])], told=str, rtl=rtl) is None


async def test_two_towns_of_one_name_are_two_bars(reader: Browser, engine: AsyncEngine) -> None:
    before = charts(await reader.read(FIGURES))["load"]
    assert "Gap (FR)" in before
    await rows(engine, "update town set name = 'Gap' where id = :id", id=BRIANCON.id)
    assert charts(await reader.read(FIGURES))["load"].count("Gap (FR)") == 2 * before.count("Gap (FR)")


async def test_a_town_says_more_than_a_country_that_was_chosen_before(reader: Browser) -> None:
    alone = charts(await reader.read(f"{FIGURES}?town={BRIANCON.id}"))
    assert alone
    assert charts(await reader.read(f"{FIGURES}?town={BRIANCON.id}&country=IT")) == alone
