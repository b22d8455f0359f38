"""Codes: forgiving to who writes them, and of no use to who has the database."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.settings import Keys
from db.slips import SlipKeys, code_in, grouped, slip_code

KEYS = SlipKeys.of(Keys(bytes(range(32))))
CODE = "K7QF4-2MRX9-TDWAH"
LETTERS = "2346789ACDEFGHJKMNPQRTVWXY"


@pytest.mark.parametrize(
    "written",
    [
        CODE,
        "k7qf4-2mrx9-tdwah",
        "K7QF42MRX9TDWAH",
        "  k7qf4 2mrx9 tdwah\n",
        "K7QF4–2MRX9—TDWAH",
        "K.7.Q.F.4.2.M.R.X.9.T.D.W.A.H",
        "K٧QF٤-٢MRX٩-TDWAH",
        "Ｋ７ＱＦ４－２ＭＲＸ９－ＴＤＷＡＨ",
        "K7OF4-ZMRX9-TDWAH",
        "K70F4-2MRX9-TDWAH",
        "К7QF4-2МRХ9-ТDWАН",
        "K seven Q F four, two M R X nine, T D W A H",
        "K sept Q F quatre deux M R X neuf T D W A H",
        "K sette Q F quattro due M R X nove T D W A H",
        "K siete Q F cuatro dos M R X nueve T D W A H",
        "K سبعة Q F أربعة اثنان M R X تسعة T D W A H",
        "K sieben Q F vier zwo M R X neun T D W A H",
        "K sete Q F quatro dois M R X nove T D W A H",
    ],
)
def test_a_code_is_understood_however_it_is_written(written: str) -> None:
    assert grouped(code_in(written)) == CODE


@given(st.text(LETTERS, min_size=15, max_size=15))
def test_a_code_as_it_was_given_is_never_read_as_another(letters: str) -> None:
    assert code_in(grouped(letters)) == letters
    assert code_in(letters.lower()) == letters


@given(st.text(max_size=300))
def test_anything_that_is_written_is_looked_for(written: str) -> None:
    assert len(KEYS.sought(written)) == 32


def test_a_code_has_more_than_sixty_bits() -> None:
    assert len(LETTERS) ** 15 > 2**60


def test_a_need_is_found_by_its_code_alone() -> None:
    need_id = uuid4()
    code = slip_code(need_id, KEYS.deriving)
    assert KEYS.sought(code) == KEYS.filed(need_id)
    assert KEYS.sought(slip_code(uuid4(), KEYS.deriving)) != KEYS.filed(need_id)


def test_without_the_secret_a_guess_cannot_be_tried() -> None:
    need_id = uuid4()
    code = slip_code(need_id, KEYS.deriving)
    assert SlipKeys.of(Keys(bytes(32))).sought(code) != KEYS.filed(need_id)
    assert SlipKeys(KEYS.deriving, KEYS.deriving).sought(code) != KEYS.filed(need_id)
