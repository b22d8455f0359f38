"""Random networks: what parties asked for in some weeks and towns, as the facts that are counted of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from random import Random

from matching.figures.calendar import WEEK
from matching.figures.measures import NEVER, REFERRED, WAITED, Measure
from matching.figures.tables import Fact

__all__ = ["FIRST", "facts_of"]

FIRST = date(2026, 1, 5)
_TOWNS = (
    (1, "FR", 6.0),
    (2, "FR", 2.0),
    (3, "IT", 4.0),
    (4, "IT", 1.0),
    (5, "GR", 1.5),
    (6, "GR", 0.5),
    (7, "ES", 1.0),
)
_CATEGORIES = (("shelter", 5.0), ("sanitation", 2.0), ("meal", 1.0), ("language_class", 0.3))
_REASONS = ("distance", "capacity", "access", "staffing", "category")
_REFERRED = 0.2
"""Of parties, for whom a partner town is asked."""
_KINDS = ("association", "municipality")


@dataclass(frozen=True)
class _Key:
    week: date
    town: int
    country: str
    category: str


def facts_of(
    seed: int, *, weeks: int, towns: int, parties: int, categories: int = 3, reasons: int = 3, answers: int = 5
) -> list[Fact]:
    """So many weeks of a network of so many towns in which about so many parties ask each week.

    `reasons` and `answers`: of how many kinds why people were unmet, and what partner towns did, are.
    """
    random = Random(seed)  # noqa: S311 - networks must be the same each time
    counts: Counter[tuple[_Key, Measure, str]] = Counter()
    people: Counter[tuple[_Key, Measure, str]] = Counter()
    heads: Counter[tuple[_Key, Measure, str]] = Counter()
    for week in range(weeks):
        for _ in range(round(parties * random.uniform(0.5, 1.5))):
            town, country, _ = random.choices(_TOWNS[:towns], [weight for *_, weight in _TOWNS[:towns]])[0]
            named = _CATEGORIES[:categories]
            category = random.choices([name for name, _ in named], [weight for _, weight in named])[0]
            key = _Key(FIRST + week * WEEK, town, country, category)
            partner = random.choice([each for each in _TOWNS[:towns] if each[0] != town])
            elsewhere = _Key(key.week, *partner[:2], category)
            size = random.choices((1, 2, 3, 4, 6, 12), (50, 20, 10, 10, 5, 2))[0]
            for measure, part, times in _one(random, category, _REASONS[:reasons], REFERRED[:answers]):
                at = elsewhere if measure is Measure.REFERRED_IN else key
                counts[at, measure, part] += times * size
                people[at, measure, part] += size
                heads[at, measure, part] += 1
    return [
        Fact(
            k.week,
            k.town,
            k.country,
            k.category,
            measure,
            part,
            count,
            people[k, measure, part],
            heads[k, measure, part],
        )
        for (k, measure, part), count in counts.items()
    ]


def _one(
    random: Random, category: str, reasons: tuple[str, ...], answers: tuple[str, ...]
) -> Iterator[tuple[Measure, str, int]]:
    """What one party counts in, and how often."""
    yield Measure.ASKED, "", 1
    end = random.choices(("served", "unmet", "other"), (60, 28, 12))[0]
    yield Measure(end), "", 1
    waited = NEVER if end == "unmet" else random.choices(WAITED[:5], (40, 20, 10, 5, 2))[0]
    yield Measure.WAITED, waited, 1
    if end == "served":
        yield Measure.SERVED_BY, random.choice(_KINDS), 1
        yield Measure.SERVED_IN, random.choices(("here", "elsewhere"), (80, 20))[0], 1
        if category == "shelter":
            yield Measure.NIGHTS, "", random.randint(1, 3)
    if end == "unmet":
        yield Measure.UNMET_FOR, random.choice(reasons), 1
    if waited != NEVER and random.random() < _REFERRED:
        yield from ((each, answers[0], 1) for each in (Measure.REFERRED_OUT, Measure.REFERRED_IN))
    elif random.random() < _REFERRED:
        came = random.choices(answers[1:], (6, 3, 2, 1)[: len(answers) - 1])[0]
        yield from ((each, came, 1) for each in (Measure.REFERRED_OUT, Measure.REFERRED_IN))
