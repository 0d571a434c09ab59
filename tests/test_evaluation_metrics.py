import numpy as np
import pytest
from populations import answers, draw, softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from pipeline.evaluation import metrics


def measure(probabilities, labels, temperature=1.0, **changes):
    return metrics.measure(answers(probabilities, labels), temperature,
                           **{"confidence": 0.95, "bootstrap_draws": 200, "seed": 1} | changes)


@pytest.mark.parametrize("classes", [2, 5])
def test_every_metric_is_that_of_scikit_learn(classes):
    probabilities, labels = draw(np.random.default_rng(classes), 300, classes, 1.5)
    overall, table = measure(probabilities, labels)
    predicted, one_hot = probabilities.argmax(axis=1), np.eye(classes)[labels]
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "log_loss": log_loss(labels, probabilities),
        "roc_auc": roc_auc_score(one_hot, probabilities),
        "average_precision": average_precision_score(one_hot, probabilities),
    }
    for name, value in expected.items():
        assert overall[name]["value"] == pytest.approx(value, abs=1e-12), name
    by_class = precision_recall_fscore_support(labels, predicted)
    for name, values in zip(("precision", "recall", "f1", "images"), by_class):
        np.testing.assert_allclose(table[name], values, atol=1e-12)
    assert table["predicted"].tolist() == np.bincount(predicted, minlength=classes).tolist()


def test_every_value_stands_in_its_interval():
    for seed in range(20):
        overall, table = measure(*draw(np.random.default_rng(seed), 30, 3, 2.5, 2.0))
        for name, each in overall.items():
            assert each["low"] <= each["value"] <= each["high"], name
        for name in ("precision", "recall", "f1", "roc_auc", "average_precision"):
            row = table.dropna(subset=[name])
            assert (row[f"{name}_low"] <= row[name]).all() and (row[name] <= row[f"{name}_high"]).all()


def test_a_lower_confidence_gives_narrower_intervals():
    sample = draw(np.random.default_rng(1), 200, 3, 1.5, 2.0)
    wide, narrow = measure(*sample, confidence=0.99)[0], measure(*sample, confidence=0.8)[0]
    for name in wide.keys() - {"unknown_share"}:
        assert narrow[name]["high"] - narrow[name]["low"] < wide[name]["high"] - wide[name]["low"], name


def test_more_bootstrap_draws_make_every_bootstrapped_interval_steadier():
    sample = draw(np.random.default_rng(1), 200, 3, 1.5, 2.0)

    def spread(draws: int) -> dict[str, float]:
        runs = [measure(*sample, bootstrap_draws=draws, seed=seed)[0] for seed in range(8)]
        return {name: np.std([run[name]["low"] for run in runs]) for name in runs[0]}

    few, many = spread(100), spread(2000)       # twenty times the draws: sqrt(20) = 4.5 times less noise
    for name in ("roc_auc", "average_precision", "log_loss", "calibration_error"):
        assert 0 < many[name] < 0.6 * few[name], name


def test_uncalibrated_metrics_are_those_before_the_temperature():
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(0, 3, (200, 3)), rng.integers(0, 3, 200)
    overall, _ = measure(softmax(logits / 2.5), labels, temperature=2.5)
    assert overall["log_loss_uncalibrated"]["value"] == pytest.approx(log_loss(labels, softmax(logits)), abs=1e-9)


def test_the_same_seed_gives_the_same_numbers():
    sample = draw(np.random.default_rng(2), 100, 3, 1.5)
    first, second, other = (measure(*sample, seed=seed) for seed in (5, 5, 6))
    assert first[0] == second[0] != other[0]
    assert first[1].equals(second[1])


def test_a_class_that_is_never_predicted_or_never_there_has_gaps_and_no_error():
    probabilities = np.tile([0.6, 0.3, 0.1], (10, 1))
    overall, table = measure(probabilities, np.arange(10) % 2)
    assert table.loc[1, "images"] == 5 and np.isnan(table.loc[1, "precision"]) and table.loc[1, "recall"] == 0
    assert np.isnan(table.loc[2, "recall"]) and np.isnan(table.loc[2, "f1"])
    assert overall["balanced_accuracy"]["value"] == 0.5


def test_test_images_of_one_class_alone_leave_the_areas_out():
    overall, _ = measure(np.tile([0.7, 0.3], (4, 1)), np.zeros(4, dtype=int))
    assert "roc_auc" not in overall and overall["accuracy"]["value"] == 1


def test_confusion_is_that_of_scikit_learn():
    probabilities, labels = draw(np.random.default_rng(4), 100, 4, 1.0)
    expected = confusion_matrix(labels, probabilities.argmax(axis=1))
    np.testing.assert_array_equal(metrics.confusion(answers(probabilities, labels)), expected)
