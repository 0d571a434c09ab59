"""Messages that read forwards: what is wrong, what is allowed, what happens at another limit."""

import pytest

from pipeline.intake.failures import describe
from pipeline.intake.findings import explain_failures

LIMITS = {"max_unreadable_share": 0.05, "min_images_per_class": 10, "max_imbalance": 20.0, "max_label_conflicts": 0,
          "near_copies": "ask", "max_copies_share": 0.05, "min_side_px": 32, "max_aspect_ratio": 4.0,
          "min_contrast": 3.0, "max_form_skill": 0.5}
GROUPS = [[{"path": f"{label}/{number}.jpg", "label": label, "same_bytes": True} for label in ("cat", "dog")]
          for number in range(3)]
FINDINGS = {"files": 41, "images": 28, "classes": {"cat": 27, "dog": 1}, "stray": {},
            "unreadable": {f"cat/{number}.jpg": "truncated" for number in range(13)},
            "duplicates": [], "conflicts": GROUPS, "near_copies": GROUPS[:1], "value_ranges": {}}
SIX = [image["path"] for group in GROUPS for image in group]


@pytest.mark.parametrize("name, offending, wrong, advice", [
    ("readable", [], "13 of 41 files cannot be read; at most 2 (5%) are allowed",
     "With a higher limit, they are left out"),
    ("two classes", [], "2 classes; 2 or more are needed", ""),
    ("images per class", ["dog"], "1 of 2 classes with fewer than 10 readable images", "trained on as they are"),
    ("class balance", ["dog"], "the largest class, cat, has 27 images; at most 20 times the images of any other are "
     "allowed, and 1 class of the others have too few", "all images are used"),
    ("label conflicts", SIX, "3 pictures under different labels, in exact copies; at most 0 are allowed",
     "all these copies are left out"),
    ("near-duplicates", SIX[:2], "1 picture under different labels, in near-duplicates", "near_copies: different"),
    ("class names", ["Cat", "cat"], "2 class names differ only in case, spaces, - or _", ""),
    ("duplicates", ["a"], "1 of 28 images duplicate another; more than 5% is unusual", ""),
    ("size", ["a", "b"], "2 of 28 images have fewer than 32 pixels on the shorter side", ""),
    ("aspect ratio", ["a", "b"], "2 of 28 images have a longer side of more than 4 times the shorter", ""),
    ("blank images", ["a", "b"], "2 of 28 images have a contrast below 3 (0 to 128) and may be blank", ""),
    ("shortcuts", ["mode"], "with a skill above 0.5 (0 is chance, 1 is certain): mode 0.90", "")])
def test_a_failure_reads_forwards_with_one_number_for_one_fact(name, offending, wrong, advice):
    found, how = describe(FINDINGS, {"name": name, "offending": offending, "observed": "mode 0.90"}, LIMITS)
    assert found.endswith(wrong) and advice in how and bool(advice) == bool(how)


@pytest.mark.parametrize("files, share, most", [(100, 0.07, 7), (41, 0.05, 2), (24, 0.0, 0), (3, 1.0, 3)])
def test_how_many_files_a_share_allows_is_rounded_down(files, share, most):
    findings, limits = FINDINGS | {"files": files}, LIMITS | {"max_unreadable_share": share}
    assert f"at most {most} (" in describe(findings, {"name": "readable", "offending": []}, limits)[0]


def test_a_message_has_the_limit_after_the_fact_and_then_the_advice():
    failing = {"name": "readable", "success": False, "stops_the_run": True, "parameter": "max_unreadable_share",
               "observed": "13 of 41 fail", "offending": []}
    text = explain_failures(FINDINGS | {"expectations": [failing]}, LIMITS, "params.yaml: validate.")
    assert text.startswith("readable: 13 of 41 files cannot be read; at most 2 (5%) are allowed [params.yaml: validate."
                           "max_unreadable_share: 0.05]. With a higher limit, they are left out\n  cat/0.jpg, ")
