import numpy as np
import pandas as pd
import pytest
from PIL import Image
from populations import answers, draw
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from pipeline.evaluation import plots

COLUMNS = ["epoch", "learning_rate", "accuracy", "loss", "val_accuracy", "val_loss"]


def history(epochs):
    rows = [(epoch, 0.01, 0.5, 1 / epoch, 0.5, 1.1 / epoch) for epoch in range(1, epochs + 1)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture
def given():
    return answers(*draw(np.random.default_rng(1), 300, 3, 1.5))


def test_training_counts_the_epochs_of_both_stages():
    table = plots.training_table({"transfer": history(3), "finetune": history(2)})
    assert table["step"].tolist() == [1, 2, 3, 4, 5]
    assert table["epoch"].tolist() == [1, 2, 3, 1, 2]
    assert table["stage"].tolist() == ["transfer"] * 3 + ["finetune"] * 2


def test_no_epochs_at_all_can_be_drawn(tmp_path):
    table = plots.training_table({"transfer": history(0), "finetune": history(0)})
    plots.save_png(plots.draw_training(table), tmp_path / "empty.png")
    assert Image.open(tmp_path / "empty.png").size[0] > 100


def test_area_under_the_mean_curve_is_the_mean_area(given):
    table = plots.roc_table(given)
    expected = roc_auc_score(np.eye(3)[given.labels], given.probabilities)
    assert auc(table["false_positive_rate"], table["true_positive_rate"]) == pytest.approx(expected, abs=0.01)


def test_curves_are_those_of_scikit_learn():
    given = answers(*draw(np.random.default_rng(3), 90, 3, 1.5))
    coarse = answers(given.probabilities.round(1), given.labels)        # many images have the same probability
    for each, index in ((given, 0), (coarse, 1)):
        own, scores = each.labels == index, each.probabilities[:, index]
        for found, expected in zip(plots._roc(each, index), roc_curve(own, scores, drop_intermediate=False)):
            np.testing.assert_allclose(found, expected)
        precision, recall, _ = precision_recall_curve(own, scores)
        np.testing.assert_allclose(plots._precision_recall(each, index), (recall[::-1], precision[::-1]))


def test_mean_precision_is_the_best_at_each_recall_or_above(given):
    table = plots.precision_recall_table(given).to_numpy()
    for recall, found in table[::10]:
        best = []
        for index in range(3):
            precision, recalls, _ = precision_recall_curve(given.labels == index, given.probabilities[:, index])
            best.append(precision[recalls >= recall - 1e-9].max())
        assert found == pytest.approx(np.mean(best), abs=1e-6)


def test_reliability_holds_every_image_and_both_states(given):
    table = plots.reliability_table(given, temperature=2.0)
    assert table["images"].sum() == table["images_before"].sum() == 300
    filled = table.dropna()
    assert (filled["confidence"] <= filled["up_to"] + 1e-9).all()
    # dividing by 2 made the model less sure: before, its confidence was higher
    confidence = [np.nansum(table[f"confidence{s}"] * table[f"images{s}"]) / 300 for s in ("", "_before")]
    assert confidence[0] == pytest.approx(given.confidences.mean(), abs=1e-5) and confidence[1] > confidence[0]


@pytest.mark.parametrize("classes", [2, 30])
def test_every_picture_can_be_drawn_and_its_bytes_do_not_change(classes, tmp_path):
    given = answers(*draw(np.random.default_rng(2), 200, classes, 1.5))
    table = plots.reliability_table(given, 1.5)
    for name, draw_it in {
        "confusion": lambda: plots.draw_confusion(given), "roc": lambda: plots.draw_roc(given),
        "pr": lambda: plots.draw_precision_recall(given), "reliability": lambda: plots.draw_reliability(table),
        "unknown": lambda: plots.draw_unknown(given, 2.0),
    }.items():
        plots.save_png(draw_it(), tmp_path / "first.png")
        plots.save_png(draw_it(), tmp_path / "second.png")
        data = (tmp_path / "first.png").read_bytes()
        assert data == (tmp_path / "second.png").read_bytes(), name
        assert b"tEXt" not in data and b"tIME" not in data, name
        assert np.asarray(Image.open(tmp_path / "first.png").convert("L")).std() > 5, f"{name} is blank"
