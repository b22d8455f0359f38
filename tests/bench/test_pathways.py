"""Pathways beside the optimum, in short: what is chosen is as good, and what is chosen worse is caught."""

from collections.abc import Sequence

import pytest

from bench import pathways
from bench.pathways import compare
from matching.assign import cost_of
from matching.pathways import Found, Plan, Spot, Step, best_plan
from matching.policy import Policy


def test_the_class_is_within_reach_whenever_it_can_be() -> None:
    for each in compare(3):
        assert each.beds == each.beds_best, each
        if each.name != "together":
            assert each.ratio >= 0.98, each


def test_whoever_takes_the_nearest_bed_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearest_bed_first(
        beds: Sequence[Spot], steps: Sequence[Step], _: Sequence[Found], policy: Policy
    ) -> Plan | None:
        if not beds:
            return None
        bed = min(beds, key=lambda spot: cost_of(spot.candidate, policy).total)
        return best_plan([bed], steps, [], policy)

    monkeypatch.setattr(pathways, "best_plan", nearest_bed_first)
    assert min(each.ratio for each in compare(3)) < 0.9
