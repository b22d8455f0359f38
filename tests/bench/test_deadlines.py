"""What the benchmark of deadlines calls kept, and the hard instance that it draws itself."""

from dataclasses import replace

import numpy as np
import pytest

from bench.deadlines import Kept, one_piece
from bench.scale import broken_rules
from matching.engine.territories import territories
from matching.engine.urgency import place_by_urgency

ONE = Kept("", 0, guarded=True, deadline=0.3, seconds=0.3, share=1.0, as_greedy=1.0, method="lp", broken=0)


@pytest.mark.parametrize(
    ("deadline", "seconds", "kept"), [(0.1, 0.19, True), (0.1, 0.21, False), (10.0, 10.9, True), (10.0, 11.1, False)]
)
def test_a_tenth_of_the_time_or_of_a_second_may_be_overrun(deadline: float, seconds: float, *, kept: bool) -> None:
    assert replace(ONE, deadline=deadline, seconds=seconds).kept is kept


@pytest.mark.parametrize("nights", [1, 7])
def test_the_nearest_fifty_of_everybody_hang_together(nights: int) -> None:
    problem = one_piece(600, nights)
    assert np.bincount(problem.need).tolist() == [50] * 600
    assert len(territories(problem).pairs) == 1
    assert broken_rules(problem, place_by_urgency(problem)) == 0
