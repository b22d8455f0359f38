"""`relais evidence report`: a paper that says plainly what was asked for, given and missing, in five languages."""

import re
from datetime import date
from functools import partial
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po
from pypdf import PdfReader
from sqlalchemy.ext.asyncio import AsyncEngine

from matching.competence import Duty
from matching.figures.calendar import weeks_of
from matching.figures.measures import WAITED, Measure
from matching.figures.tables import ALL, Span
from matching.rules import RULES
from matching.vocabulary import OrganizationKind
from tests.conftest import ROOT
from tests.db.acts import rows
from tests.places import BRIANCON, GAP, MENTON, MONTGENEVRE, OULX
from tests.published import tell
from tests.relais.conftest import Relais
from web.report_words import REPORT_LANGUAGES

MONTH = date(2026, 10, 1)
_HERE = str(BRIANCON.id)
_SHELTER = (
    (Measure.ASKED, "", 1412),
    (Measure.SERVED, "", 991),
    (Measure.UNMET, "", 304),
    (Measure.UNMET_FOR, "capacity", 181),
    (Measure.UNMET_FOR, "distance", 74),
    (Measure.UNMET_FOR, "party_size", 31),
    (Measure.UNMET_FOR, "staffing", 18),
    (Measure.WAITED, "5", 611),
    (Measure.WAITED, "60", 280),
    (Measure.WAITED, "240", 117),
    (Measure.WAITED, "1440", 64),
    (Measure.WAITED, "never", 340),
    (Measure.SERVED_BY, "association", 612),
    (Measure.SERVED_BY, "municipality", 379),
    (Measure.RATED, "", 92),
    (Measure.RATED, "3", 14),
    (Measure.RATED, "4", 31),
    (Measure.RATED, "5", 47),
)


@pytest.fixture
async def told(engine: AsyncEngine) -> None:
    """A month that was told, with its weeks: of the second week how many were unmet is withheld."""
    for number, week in enumerate(weeks_of(MONTH)):
        unmet = [] if number == 1 else [(_HERE, "shelter", Measure.UNMET, "", 41 + 9 * number)]
        served = (_HERE, "shelter", Measure.SERVED, "", 180 + 12 * number)
        await tell(engine, Span.WEEK, week, served, *unmet)
    around = ((GAP, 210), (OULX, 455), (MONTGENEVRE, 12), (MENTON, 388))
    await tell(
        engine,
        Span.MONTH,
        MONTH,
        *((_HERE, "shelter", *figure) for figure in _SHELTER),
        (_HERE, "meal", Measure.ASKED, "", 233),
        (_HERE, "meal", Measure.SERVED, "", 201),
        (_HERE, "sanitation", Measure.ASKED, "", 87),
        (_HERE, ALL, Measure.ASKED, "", 1732),
        *((str(place.id), "shelter", Measure.SERVED, "", value) for place, value in around),
    )


@pytest.fixture
def relais(relais: Relais) -> Relais:
    """Run `relais evidence report`."""
    return partial(relais, "evidence", "report")


async def paper(relais: Relais, folder: Path, language: str) -> list[str]:
    """The text of each page of a report."""
    file = folder / f"{language}.pdf"
    answer = await relais(
        *("--town", _HERE, "--month", "2026-10", "--language", language, "--to", str(file)),
    )
    assert answer.exit_code == 0, answer.output
    return [page.extract_text() for page in PdfReader(file).pages]


@pytest.mark.usefixtures("told")
async def test_the_first_page_says_in_plain_words_what_a_prefect_must_know(relais: Relais, tmp_path: Path) -> None:
    first, *_ = await paper(relais, tmp_path, "fr")
    said = re.sub(r"[\s\u202f\xa0]+", " ", first)
    for sentence in (
        "1 412 personnes ont demandé un endroit où dormir.",
        "991 personnes en ont trouvé un et y ont dormi.",
        "304 personnes sont restées sans solution.",
        "l’hébergement d’urgence relève ici de l’État (CASF, art. L345-2, L345-2-2).",
        "Ce qui a le plus souvent fait obstacle : plus assez de place.",
    ):
        assert sentence in said


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("language", REPORT_LANGUAGES)
async def test_every_language_has_its_paper(relais: Relais, tmp_path: Path, language: str) -> None:
    pages = await paper(relais, tmp_path, language)
    assert len(pages) == 3
    assert "Oulx" in pages[2]
    arabic = re.search(r"[\u0600-\u06ff\ufb50-\ufeff]{3}", pages[0]) is not None
    assert arabic == (language == "ar")


async def test_what_is_not_told_is_said_not_to_be(relais: Relais, engine: AsyncEngine, tmp_path: Path) -> None:
    await tell(engine, Span.MONTH, MONTH, (ALL, ALL, Measure.ASKED, "", 50))
    pages = await paper(relais, tmp_path, "en")
    assert "is not told: nobody, too few, or withheld for their sake" in re.sub(r"\s+", " ", pages[0])


async def test_nothing_is_written_of_a_month_that_was_not_published(relais: Relais, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    for month, said in (("2026-10", "not published"), ("2026-13", "a year and a month")):
        answer = await relais("--town", _HERE, "--month", month, "--to", str(file))
        assert answer.exit_code == 2
        assert said in " ".join(answer.output.split())
    assert not file.exists()


async def test_a_town_that_is_not_there_is_named_as_such_with_how_to_find_one(relais: Relais, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    answer = await relais("--town", "1", "--month", "2026-10", "--to", str(file))
    said = " ".join(answer.output.split())
    assert answer.exit_code == 2
    assert "There is no town 1 here." in said
    assert "GET /v1/towns?q=" in said
    assert "organization" not in said
    assert not file.exists()


async def test_there_is_a_word_for_everything_that_may_have_to_be_said(engine: AsyncEngine) -> None:
    categories = [row.code for row in await rows(engine, "select code from category")]
    wanted = {f"report.{kind}.{each}" for kind, all_of_it in _said(categories).items() for each in all_of_it}
    for language in REPORT_LANGUAGES:
        assert wanted <= words(language).keys(), language


def _said(categories: list[str]) -> dict[str, list[str]]:
    return {
        "category": [ALL, *categories],
        "reason": [*RULES, "unknown"],
        "waited": list(WAITED),
        "host": [*OrganizationKind, "unknown"],
        "duty": list(Duty),
        "lead.duty": list(Duty),
    }


def words(language: str) -> dict[str, str]:
    with (ROOT / "web" / "words" / f"{language}.report.po").open("rb") as opened:
        return {str(each.id): str(each.string) for each in read_po(opened, locale=language) if each.id}


def test_every_language_says_the_same_with_the_same_facts() -> None:
    def facts(sentences: dict[str, str]) -> dict[str, set[str | None]]:
        return {key: {name for _, name, _, _ in Formatter().parse(text)} - {None} for key, text in sentences.items()}

    english = facts(words("en"))
    for language in REPORT_LANGUAGES:
        assert facts(words(language)) == english, language
        assert all(words(language).values())
