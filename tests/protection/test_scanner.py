"""The search itself: it finds every string in every form, wherever it stands, and nothing else."""

import base64
import json
import os
from random import Random

import pytest

from tests.protection.remains import without_heads
from tests.protection.scanner import Scanner, forms
from tests.protection.words import addresses, slugs, strings

EVERYTHING = [*strings(), *slugs(), *addresses()]
SCANNER = Scanner(EVERYTHING)


def test_there_are_thousands_of_strings_and_none_twice() -> None:
    assert len(set(EVERYTHING)) == len(EVERYTHING) > 2_500


def test_each_string_is_found_in_each_form_wherever_it_stands() -> None:
    random = Random(7)  # noqa: S311 - the same each time
    for text in random.sample(EVERYTHING, 300):
        for form in forms(text):
            noise = random.randbytes(random.randrange(40))
            assert SCANNER.found(noise + form + b"\0") == {text}, (text, form)


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_what_is_inside_base64_is_found_at_each_of_its_places(before: bytes) -> None:
    for text in EVERYTHING[:100]:
        assert SCANNER.found(base64.b64encode(before + text.encode() + b" and more")) == {text}


def test_what_programs_write_is_found() -> None:
    for text in EVERYTHING[:100]:
        for written in (json.dumps({"x": text}), repr({"x": text}), repr(text.encode()), f"<p>{text}</p>"):
            assert SCANNER.found(written.encode()) == {text}, written


def test_nothing_is_found_where_nothing_stands() -> None:
    assert SCANNER.found(os.urandom(5_000_000)) == set()
    assert SCANNER.found(b"") == SCANNER.found(b"short") == set()
    near = [f"{text[:-3]}\0" for text in EVERYTHING]
    assert SCANNER.found("\n".join(near).encode()) == set()


def test_many_small_things_are_told_apart() -> None:
    kept = [(str(number), os.urandom(1000)) for number in range(100)]
    kept[40] = ("40", EVERYTHING[3].encode())
    kept[99] = ("99", EVERYTHING[4].encode())
    assert SCANNER.places(kept) == {"40": {EVERYTHING[3]}, "99": {EVERYTHING[4]}}


def test_what_stands_across_two_pages_of_the_log_of_changes_is_found() -> None:
    text = EVERYTHING[0]
    content = b"." * (8192 - 40 - 5) + text.encode() + b"." * 10_000
    rest = content[8192 - 40 :]
    pages = b"H" * 40 + content[: 8192 - 40]
    while rest:
        pages += b"h" * 24 + rest[: 8192 - 24]
        rest = rest[8192 - 24 :]
    assert SCANNER.found(pages) == set()
    assert SCANNER.found(without_heads(pages)) == {text}
