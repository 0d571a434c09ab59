import pandas as pd

from pipeline.intake.related import find_related


def test_groups_and_near_duplicates_join_into_one_set():
    """a and b are near-duplicates, b and c one patient's; d is alone, e and f are near-duplicates."""
    images = pd.DataFrame({"sha256": list("abcdef"), "duplicate_group": list("aacdee"),
                           "group": ["", "patient", "patient", "", "", ""]})
    assert find_related(images).tolist() == ["a", "a", "a", "d", "e", "e"]
