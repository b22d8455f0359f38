"""Headers and cells are understood as people write them in five languages; nothing is guessed twice."""

import re
import tomllib
from collections.abc import Callable
from datetime import date, time
from itertools import product

import pytest

from api.wording import LANGUAGES, catalogue
from geo.names import fold
from importing import cells
from importing.columns import WrongColumns, find
from importing.kinds import Kind
from importing.offers import Offers
from importing.pledges import Pledges
from importing.sentences import SENTENCES
from importing.sites import Sites
from importing.words import code_of, headers
from matching.refusals import Invalid
from matching.vocabulary import PROVISIONS, SKILLS, Audience, Confirmation, SiteKind, Visibility
from tests.conftest import ROOT

KINDS: tuple[type[Kind[object]], ...] = (Sites, Offers, Pledges)  # type: ignore[assignment]

OFFERS = {
    "en": "Site,Kind of help,Places,First day,Last day,Opens,Closes,Weekdays,Slot minutes",
    "fr": "Nom,Type d’aide,Places,Premier jour,Dernier jour,Nuit de…,à,Jours d’ouverture,Durée du créneau",
    "it": "Struttura,Tipo di aiuto,Posti letto,Dal,Al,Dalle,Alle,Giorni,Minuti per turno",
    "es": "Lugar,Tipo de ayuda,Plazas,Fecha de inicio,Fecha de fin,Abre,Cierra,Días,Minutos por turno",
    "ar": "المكان,نوع المساعدة,السعة,تاريخ البداية,تاريخ النهاية,من,إلى,الأيام,مدة الفترة",
}
SITES = {
    "en": "Name,City,Type,Lon,Lat,Street address,Meeting point,Facilities",
    "fr": "Nom,Ville,Type de lieu,Longitude,Latitude,Adresse,Point de rencontre,Équipements",
    "it": "Nome,Comune,Tipo di luogo,Longitudine,Latitudine,Indirizzo,Punto d’incontro,Servizi",
    "es": "Nombre,Ciudad,Tipo de lugar,Longitud,Latitud,Dirección,Punto de encuentro,Servicios",
    "ar": "الاسم,المدينة,نوع المكان,خط الطول,خط العرض,العنوان,نقطة اللقاء,التجهيزات",
}
PLEDGES = {
    "en": "Skill,Volunteers,Town,Radius (km),First day,Last day,From,Until,Shifts per week",
    "fr": "Compétence,Nombre de bénévoles,Commune,Rayon (km),Premier jour,Dernier jour,De,À,Gardes par semaine",
    "it": "Competenza,Volontari,Città,Raggio (km),Data inizio,Data fine,Dalle,Alle,Turni a settimana",
    "es": "Competencia,Voluntarios,Localidad,Radio (km),Primer día,Último día,Desde,Hasta,Turnos por semana",
    "ar": "المهارة,عدد المتطوعين,البلدة,المسافة,أول يوم,آخر يوم,من الساعة,إلى الساعة,نوبات في الأسبوع",
}
MEANT = {
    "offers": "site category capacity first_day last_day opens closes days slot_minutes",
    "sites": "name town kind longitude latitude address meeting_point provides",
    "pledges": "skill headcount town radius_km first_day last_day opens closes shifts_per_week_max",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_headers_are_understood_in_five_languages(language: str) -> None:
    for kind, written in zip(KINDS, (SITES, OFFERS, PLEDGES), strict=True):
        found = find(kind.name, kind.columns, written[language].split(","), {})
        assert " ".join(str(each.ours) for each in found.found) == MEANT[kind.name]


def test_every_column_of_ours_is_called_something_in_the_file_of_headers() -> None:
    for kind in KINDS:
        known = headers(kind.name)
        assert {column.name for column in kind.columns} <= set(known.values())
        assert all(known[fold(column.name)] == column.name for column in kind.columns)


def test_no_header_and_no_word_means_two_things() -> None:
    folder = ROOT / "importing"
    groups = tomllib.loads((folder / "headers.toml").read_text())
    for kind in KINDS:
        of_kind = groups["shared"] | groups[kind.name]
        written = [fold(each) for ours, others in of_kind.items() for each in {fold(ours), *map(fold, others)}]
        assert sorted(set(written)) == sorted(written), kind.name
        refused = {fold(each) for each in groups["refused"]["words"]}
        assert not [each for each, word in product(written, refused) if f" {word} " in f" {each} "]
    for group, codes in tomllib.loads((folder / "words.toml").read_text()).items():
        said = [each for code, others in codes.items() for each in {fold(code), *(fold(o) or o for o in others)}]
        assert sorted(set(said)) == sorted(said), group


def test_longer_headers_are_understood_by_the_longest_words_in_them() -> None:
    row = ["Nom du lieu d'accueil", "Catégorie", "Nombre de places disponibles", "du", "au", "ouvre à", "ferme à"]
    found = find("offers", Offers.columns, row, {})
    assert found.place_of("capacity") == 2
    assert found.called("capacity") == "Nombre de places disponibles"


@pytest.mark.parametrize(
    "header", ["Remarques", "Nom du contact", "Téléphone", "Nazionalità", "Adresse mail", "Prénom", "ملاحظات", "Notes"]
)
def test_free_text_and_what_is_about_people_is_refused_even_when_it_is_asked_for(header: str) -> None:
    row = ["name", "town", "kind", "longitude", "latitude", header]
    found = find("sites", Sites.columns, row, {})
    assert (found.found[-1].ours, found.found[-1].refused) == (None, True)
    with pytest.raises(WrongColumns, match="never taken in"):
        find("sites", Sites.columns, row, {"address": header})


def test_all_that_is_wrong_with_the_columns_is_told_at_once_and_can_be_put_right() -> None:
    row = ["Where", "Ville", "Commune", "Type", "x", "y"]
    with pytest.raises(WrongColumns) as told:
        find("sites", Sites.columns, row, {"nothing": "Where"})
    lines = str(told.value).splitlines()
    assert [next(part for part in ("called", "B and C", "name is missing") if part in line) for line in lines] == [
        "called",
        "B and C",
        "name is missing",
    ]
    found = find("sites", Sites.columns, row, {"name": "WHERE", "town": "commune"})
    assert (found.place_of("name"), found.place_of("town"), found.found[1].ours) == (0, 2, None)


def test_columns_are_said_by_their_places_or_not_to_be_there() -> None:
    row = ["Nom", "Nom", "Ville", "Type", "x", "y", "Adresse", ""]
    with pytest.raises(WrongColumns):
        find("sites", Sites.columns, row, {})
    found = find("sites", Sites.columns, row, {"name": 1, "provides": 7}, ["address"])
    assert (found.place_of("name"), found.place_of("address"), found.place_of("provides")) == (1, None, 7)
    assert found.called("provides") == "column H"
    for nowhere in (8, -1):
        with pytest.raises(WrongColumns):
            find("sites", Sites.columns, row, {"name": nowhere})
    with pytest.raises(WrongColumns, match="town is missing"):
        find("sites", Sites.columns, row, {"name": 1}, ["town"])
    # The control: an address that nobody took out is taken in.
    assert find("sites", Sites.columns, row, {"name": 0}).place_of("address") == 6


def test_a_row_of_data_where_the_headers_should_be_is_not_repeated() -> None:
    for row in (["Gym", "4 rue du Secret", "Place du Secret"], ["name", "town", "4 rue du Secret"]):
        with pytest.raises(WrongColumns) as told:
            find("sites", Sites.columns, row, {})
        assert "Secret" not in str(told.value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_our_own_pages_are_understood_in_cells(language: str) -> None:
    said = catalogue(language)
    for code in PROVISIONS:
        assert cells.provisions(said[f"console.wish.{code}"]) == {code}
    for code in SKILLS:
        assert cells.skill(said[f"skill.{code}"]) == code
    for key, sentence in said.items():
        if key.startswith("slip.category."):
            assert cells.category(sentence) == key.rpartition(".")[2]


def test_codes_are_understood_as_they_are() -> None:
    for group, words in (("kind", SiteKind), ("visibility", Visibility), ("confirmation", Confirmation)):
        assert [cells.one_of(group, words)(word) for word in words] == list(words)
    assert cells.several_of("audience", Audience)("women; familles | MNA") == {
        Audience.WOMEN,
        Audience.FAMILIES,
        Audience.UNACCOMPANIED_MINORS,
    }


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (cells.clock, "20:00", time(20)),
        (cells.clock, "20h", time(20)),
        (cells.clock, "8h05", time(8, 5)),
        (cells.clock, "20.30", time(20, 30)),
        (cells.clock, "8 pm", time(20)),
        (cells.clock, "12 am", time(0)),
        (cells.clock, "19:00:00", time(19)),
        (cells.clock, "24:00", time(0)),
        (cells.clock, "minuit", time(0)),
        (cells.clock, "٢٠:٠٠", time(20)),
        (cells.day, "01/12/2026", date(2026, 12, 1)),
        (cells.day, "1.12.2026", date(2026, 12, 1)),
        (cells.day, "2026-12-01", date(2026, 12, 1)),
        (cells.truth, "Oui", True),
        (cells.truth, "SÌ", True),
        (cells.truth, "sí", True),
        (cells.truth, "نعم", True),
        (cells.truth, "x", True),
        (cells.truth, "no", False),
        (cells.truth, "non", False),
        (cells.truth, "لا", False),
        (cells.recurrence, "lundi, mercredi et vendredi", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        (cells.recurrence, "Fri-Mon", "FREQ=WEEKLY;BYDAY=MO,FR,SA,SU"),
        (cells.recurrence, "dal lunedì al venerdì", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        (cells.recurrence, "Todos los días", "FREQ=DAILY"),
        (cells.recurrence, "كل يوم", "FREQ=DAILY"),
        (cells.recurrence, "mon-sun", "FREQ=DAILY"),
        (cells.recurrence, "freq=monthly;bymonthday=1", "FREQ=MONTHLY;BYMONTHDAY=1"),
        (cells.language, "Français", "fr"),
        (cells.language, "العربية", "ar"),
        (cells.language, "dari", "prs"),
        (cells.country, "fr", "FR"),
    ],
)
def test_cells_are_read_as_people_write_them(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (cells.clock, "25:00"),
        (cells.clock, "20:70"),
        (cells.clock, "13 pm"),
        (cells.clock, "evening"),
        (cells.day, "12/31/2026"),
        (cells.day, "31/02/2026"),
        (cells.day, "1/12/26"),
        (cells.day, "tomorrow"),
        (cells.truth, "perhaps"),
        (cells.recurrence, "sometimes"),
        (cells.recurrence, "mon-fri-sun"),
        (cells.language, "Klingonish"),
        (cells.country, "France"),
        (cells.skill, "teaching"),
        (cells.skill, "teaching:nobody"),
        (cells.provisions, "showers, phone of Anna"),
        (cells.name, "two\u200bwords"),
    ],
)
def test_what_cannot_be_read_is_told_without_repeating_it(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert text not in str(refused.value)


def test_every_code_that_a_row_can_be_refused_with_has_its_sentence() -> None:
    sources = [*(ROOT / "importing").glob("*.py"), *(ROOT / "matching" / name for name in _CHECKED)]
    sources += [ROOT / "db" / name for name in ("sites.py", "offers.py", "pledges.py")]
    codes = {
        code
        for source in sources
        for code in re.findall(r'(?:Invalid\.one|Flaw)\(\s*f?"[^"]*",\s*"([a-z_]+)"', source.read_text())
    }
    assert {"no_night_in_window", "town_not_found", "unknown_category", "location_far_from_town"} <= codes
    assert codes <= SENTENCES.keys()


def test_signs_alone_mean_nothing_but_what_is_listed() -> None:
    assert code_of("truth", "—") is None


_CHECKED = ("offering.py", "schedule.py", "pledging.py")
