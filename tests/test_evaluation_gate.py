import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation.decision import HOLD, PROMOTE, REJECT, Champion, Rules, decide
from tasks.params import read_sections

SHIPPED = read_sections(Path(__file__).parent.parent / "params.yaml")["gate"]
RULES = Rules(**SHIPPED | {"min_accuracy": 0.6, "min_class_recall": 0.3})
NAMES = ["ant", "bee", "cow"]


def labels_of(images, names=NAMES):
    return np.array(names)[np.arange(images) % len(names)]


def with_mistakes(labels, wrong, names=NAMES):
    """The labels, but the next class where `wrong`."""
    following = dict(zip(names, [*names[1:], names[0]]))
    return np.where(wrong, [following.get(label, names[0]) for label in labels], labels)


def champion(predicted, names=NAMES, has_learnt=None):
    return Champion(names, predicted, np.zeros(len(predicted), dtype=bool) if has_learnt is None else has_learnt)


def verdicts(images, accuracy, champion_accuracy, draws, shared=0.0):
    """The share of each verdict over draws of two models; on `shared` of the images both are wrong."""
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels, hard = labels_of(images), rng.random(images) < shared
        wrong = [hard | (rng.random(images) > share / (1 - shared)) for share in (accuracy, champion_accuracy)]
        new, old = (with_mistakes(labels, each) for each in wrong)
        found.append(decide(RULES, NAMES, labels, new, champion(old)).verdict)
    return {verdict: found.count(verdict) / draws for verdict in (PROMOTE, HOLD, REJECT)}


@pytest.mark.parametrize(("images", "accuracy", "shared"), [(2000, 0.9, 0.05), (150, 0.8, 0.1)])
def test_equal_models_are_promoted_in_at_most_5_percent(images, accuracy, shared):
    found = verdicts(images, accuracy, accuracy, draws=2000, shared=shared)
    assert found[PROMOTE] <= 0.05
    assert found[HOLD] >= 0.88


@pytest.mark.parametrize("shared", [0.0, 0.05])
def test_a_model_better_by_3_points_on_2000_images_is_promoted(shared):
    assert verdicts(2000, 0.93, 0.9, draws=300, shared=shared)[PROMOTE] >= 0.8


def test_a_worse_model_is_rejected():
    assert verdicts(2000, 0.9, 0.93, draws=100)[REJECT] >= 0.8


def test_the_first_model_needs_the_floors_alone():
    labels = labels_of(60)
    good = decide(RULES, NAMES, labels, labels, None)
    assert (good.verdict, good.figures["candidate"]["value"]) == (PROMOTE, 1)
    bad = decide(RULES, NAMES, labels, np.full(60, "ant"), None)
    assert bad.verdict == REJECT
    assert [reason.split(":")[0] for reason in bad.reasons[1:]] == ["class bee", "class cow"]
    assert "accuracy 33.3%" in bad.reasons[0] and "min_accuracy (60.0%)" in bad.reasons[0]


def test_a_better_model_below_a_floor_is_rejected():
    labels = labels_of(180)
    new = with_mistakes(labels, np.arange(180) % 2 == 0)    # half right, where the champion has nothing right
    old = with_mistakes(labels, np.ones(180, dtype=bool))
    assert decide(RULES, NAMES, labels, new, champion(old)).verdict == REJECT


def test_a_class_that_pays_for_the_others_is_no_promotion():
    labels = labels_of(600)
    old = with_mistakes(labels, (labels == "ant") & (np.arange(600) % 3 == 0))
    new = with_mistakes(labels, (labels == "bee") & (np.arange(600) % 20 < 6))
    old = np.where((labels == "cow") & (np.arange(600) < 500), "ant", old)
    decision = decide(RULES, NAMES, labels, new, champion(old))
    assert decision.figures["chance_of_better"] < 0.001
    assert decision.verdict == REJECT and decision.reasons[0].startswith("class bee: recall fell from 100.0% to 7")


def test_a_class_that_lost_few_images_is_for_a_person():
    labels = np.array(["ant"] * 300 + ["bee"] * 5)
    new = np.where(np.arange(305) == 304, "ant", labels)            # one bee of five: 20 points, but one image
    old = np.where(np.arange(305) < 40, "bee", labels)
    decision = decide(RULES, NAMES, labels, new, champion(old))
    assert decision.verdict == HOLD and "this may be chance" in decision.reasons[0]


def test_many_small_classes_do_not_stop_a_better_model():
    names = [f"class {number:03}" for number in range(100)]
    rng, found = np.random.default_rng(1), []
    for _ in range(30):
        labels = labels_of(2000, names)
        new, old = (with_mistakes(labels, rng.random(2000) > share, names) for share in (0.93, 0.9))
        found.append(decide(RULES, names, labels, new, champion(old, names)))
    assert [decision.verdict for decision in found].count(PROMOTE) >= 24
    assert any("as some of many classes do by chance" in decision.reasons[0] for decision in found)


def test_one_of_many_classes_that_loses_all_is_found():
    names = [f"class {number:03}" for number in range(50)]
    labels = labels_of(1000, names)
    old = with_mistakes(labels, np.arange(1000) % 6 == 0, names)
    new = with_mistakes(labels, labels == names[7], names)
    decision = decide(RULES, names, labels, new, champion(old, names))
    assert decision.figures["chance_of_better"] < 0.001
    assert decision.verdict == REJECT and all("class 007" in reason for reason in decision.reasons)


def test_a_class_of_two_images_is_below_its_floor_perhaps_by_chance():
    labels = np.array(["ant"] * 60 + ["bee"] * 2)
    first = decide(RULES, NAMES[:2], labels, np.full(62, "ant"), None)
    assert (first.verdict, len(first.reasons)) == (HOLD, 1)
    assert first.reasons[0].startswith("class bee: recall 0.0%")
    assert "this may be chance: 7 further test images would decide" in first.reasons[0]
    many = np.array(["ant"] * 600 + ["bee"] * 20)
    assert decide(RULES, NAMES[:2], many, np.full(620, "ant"), None).verdict == REJECT


def test_images_that_the_champion_learnt_do_not_count():
    labels = labels_of(300)
    learnt = np.arange(300) < 150
    new = with_mistakes(labels, np.arange(300) % 10 == 0)
    old = with_mistakes(labels, ~learnt & (np.arange(300) % 3 == 0))   # faultless where it has learnt
    decision = decide(RULES, NAMES, labels, new, champion(old, has_learnt=learnt))
    assert (decision.verdict, decision.figures["images"], decision.figures["excluded"]) == (PROMOTE, 150, 150)
    nothing = decide(RULES, NAMES, labels, new, champion(old, has_learnt=np.ones(300, dtype=bool)))
    assert nothing.verdict == HOLD and "cannot be compared" in nothing.reasons[0]


def test_a_champion_of_unknown_split_is_for_a_person():
    labels = labels_of(300)
    old = with_mistakes(labels, np.arange(300) % 2 == 0)
    decision = decide(RULES, NAMES, labels, labels, Champion(NAMES, old, None))
    assert decision.verdict == HOLD and "may have been trained on" in decision.reasons[0]


def test_a_gained_class_counts_for_the_new_model_and_hides_no_loss():
    labels = labels_of(300)
    known = NAMES[:2]
    old = np.where(labels == "cow", "ant", labels)
    better = decide(RULES, NAMES, labels, labels, champion(old, known))
    assert better.verdict == PROMOTE and better.figures["classes_gained"] == ["cow"]
    worse_elsewhere = with_mistakes(labels, (labels != "cow") & (np.arange(300) % 12 == 0))
    decision = decide(RULES, NAMES, labels, worse_elsewhere, champion(old, known))
    assert decision.figures["wins"] > decision.figures["losses"] > 5
    assert decision.verdict == REJECT and decision.reasons[0].startswith("worse than the champion")


def test_a_lost_class_is_for_a_person():
    labels = labels_of(300, NAMES[:2])
    old = with_mistakes(labels, np.arange(300) % 4 == 0)
    decision = decide(RULES, NAMES[:2], labels, labels, champion(old))
    assert decision.verdict == HOLD and decision.reasons == ["the new model lacks classes that the champion knows: cow"]


def test_figures_can_be_stored_as_json():
    labels = labels_of(9, NAMES[:2])                    # no cow among the test images: its recall is undefined
    decision = decide(RULES, NAMES, labels, labels, champion(labels))
    stored = json.loads(json.dumps(decision.figures, allow_nan=False))
    assert stored["classes"][2] == {"class": "cow", "images": 0, "candidate": None, "champion": None, "change": 0.0,
                                    "chance_of_worse": 1.0}


def test_a_few_test_images_are_below_the_accuracy_floor_perhaps_by_chance():
    labels = labels_of(9)
    few = decide(RULES, NAMES, labels, with_mistakes(labels, np.arange(9) % 2 == 0), None)
    assert (few.verdict, len(few.reasons)) == (HOLD, 1) and few.reasons[0].startswith("accuracy 44.4%")
    assert "this may be chance: 30 further test images would decide" in few.reasons[0]     # 39 > 1.96² · 0.24 / 0.156²
    labels = labels_of(900)
    assert decide(RULES, NAMES, labels, with_mistakes(labels, np.arange(900) % 2 == 0), None).verdict == REJECT


def test_a_model_is_rejected_only_where_the_whole_interval_is_below_the_floor():
    for right in range(60):
        labels = labels_of(60, NAMES[:1])
        decision = decide(RULES, NAMES[:1], labels, with_mistakes(labels, np.arange(60) >= right, NAMES), None)
        high = binomtest(right, 60).proportion_ci(method="wilson").high
        is_below = [high < floor for floor in (RULES.min_accuracy, RULES.min_class_recall)]
        assert (decision.verdict == REJECT) == any(is_below)
