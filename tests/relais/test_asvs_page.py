"""The page about ASVS answers every requirement of levels 1 and 2 once, and names only tests that there are."""

import re
from collections import Counter

from tests.conftest import ROOT
from tests.relais.test_protection_page import named_tests_are_missing

FILE = ROOT / "docs" / "asvs.md"
ANSWERS = ("test", "seen", "not ours", "open")
REQUIREMENTS = {
    1: {1: 2, 2: 9, 3: 11, 4: 3, 5: 2},
    2: {1: 3, 2: 3, 3: 4, 4: 1},
    3: {2: 2, 3: 4, 4: 6, 5: 5, 7: 2},
    4: {1: 3, 2: 1, 3: 2, 4: 4},
    5: {1: 1, 2: 3, 3: 2, 4: 3},
    6: {1: 3, 2: 12, 3: 4, 4: 4, 5: 5, 6: 3, 8: 4},
    7: {1: 3, 2: 4, 3: 2, 4: 5, 5: 2, 6: 2},
    8: {1: 2, 2: 3, 3: 1, 4: 1},
    9: {1: 3, 2: 4},
    10: {1: 2, 2: 2, 3: 4, 4: 11, 5: 5, 6: 2, 7: 3},
    11: {1: 2, 2: 3, 3: 3, 4: 4, 5: 1, 6: 1},
    12: {1: 3, 2: 2, 3: 4},
    13: {1: 1, 2: 5, 3: 2, 4: 5},
    14: {1: 2, 2: 4, 3: 3},
    15: {1: 3, 2: 3, 3: 7},
    16: {1: 1, 2: 5, 3: 4, 4: 3, 5: 3},
    17: {1: 1, 2: 4, 3: 2},
}
"""By chapter and section, how many requirements version 5.0.0 has on levels 1 and 2; those come first in a section."""
AT_LEVEL_1 = 70


def lines() -> list[tuple[str, str, str, str, str]]:
    """Requirement, level, what it asks, answer, by what."""
    return re.findall(
        r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", FILE.read_text(), re.MULTILINE
    )


def test_every_requirement_of_both_levels_is_answered_once_in_its_order() -> None:
    wanted = [
        f"{chapter}.{section}.{number}"
        for chapter, sections in REQUIREMENTS.items()
        for section, count in sections.items()
        for number in range(1, count + 1)
    ]
    answered = [requirement for requirement, *_ in lines()]
    assert sorted(answered) == sorted(wanted)
    assert len([level for _, level, *_ in lines() if level == "1"]) == AT_LEVEL_1


def test_every_answer_is_one_of_four_and_says_by_what() -> None:
    for requirement, _, words, answer, by in lines():
        assert answer in ANSWERS, requirement
        assert words.strip(), requirement
        assert by.strip(), requirement
        assert (answer != "test") or "`tests/" in by, requirement


def test_the_counts_at_its_head_are_those_of_its_lines() -> None:
    counted = Counter(answer for *_, answer, _ in lines())
    told = dict(re.findall(r"^\| ([a-z ]+) \| (\d+) \|$", FILE.read_text(), re.MULTILINE))
    assert {answer: str(counted[answer]) for answer in ANSWERS} == told


def test_every_test_that_answers_a_requirement_exists() -> None:
    assert named_tests_are_missing(FILE.read_text()) == []


def test_control_a_test_that_is_gone_is_told() -> None:
    mine = "tests/relais/test_asvs_page.py"
    named = f"`{mine}::test_that_never_was`, `tests/never/test_was.py`, `{mine}`, `{mine}::{lines.__name__}`"
    assert named_tests_are_missing(named) == [
        f"{mine}::test_that_never_was",
        "tests/never/test_was.py",
    ]
