import pytest

from flows import show
from flows.stages import StageRun


@pytest.mark.parametrize("outcomes, heading", [
    (["ran", "restored", "restored", "unchanged"], "4 stages: 2 restored, 1 ran, 1 unchanged"),
    (["unchanged"] * 9, "9 stages: 9 unchanged"),
])
def test_stages_are_counted_by_their_outcome(outcomes, heading):
    assert show.counted([StageRun("extract", outcome, 1.0) for outcome in outcomes]) == heading
