import re

import pytest

from flows import show
from flows.stages import StageRun


@pytest.mark.parametrize("outcomes, heading", [
    (["ran", "restored", "restored", "unchanged"], "4 stages: 2 restored, 1 ran, 1 unchanged"),
    (["unchanged"] * 9, "9 stages: 9 unchanged"),
])
def test_stages_are_counted_by_their_outcome(outcomes, heading):
    assert show.counted([StageRun("extract", outcome, 1.0) for outcome in outcomes]) == heading


@pytest.mark.parametrize("cell, shown", [("0.98765", "0.9877"), ("-1.5", "-1.5000"), ("12", "12"), ("1e-05", "1e-05"),
                                         ("18.5-25", "18.5-25"), ("2.²", "2.²"), ("2026-01.5", "2026-01.5")])
def test_decimal_numbers_are_rounded_and_names_of_classes_are_not(cell, shown):
    assert show._short(cell) == shown


def test_models_whose_names_differ_in_a_dot_share_no_key(tmp_path, monkeypatch):
    """By its key, a look for new data finds what it has seen: of another model, that would always be something else."""
    monkeypatch.chdir(tmp_path)
    keys = []
    for name in ("pets-a", "pets.a", "pets_a", "pets--a"):
        (tmp_path / "params.yaml").write_text(f"publish: {{name: {name}}}\n")
        keys.append(show.key_of("data-seen"))
    assert len(set(keys)) == 4 and keys[0] == "pets-a-data-seen"
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)
