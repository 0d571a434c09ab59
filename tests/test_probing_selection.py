"""What cross-validation chooses, on features whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.losses import log_softmax
from pipeline.probing import comparison, logistic, selection
from pipeline.probing.folds import assign_folds


def features(images=120, informative=4, noise=60, classes=3, mirrored="alike", seed=1):
    """The first columns tell the class, the others nothing; mirrored images are like the plain ones, or mislead."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = random.normal(size=(classes, informative)) * 2
    plain, twins = (
        np.hstack([centres[shown % classes] + random.normal(size=(images, informative)),
                   random.normal(size=(images, noise))])
        for shown in (labels, labels + (mirrored == "misleading")))
    folds = assign_folds(labels, np.arange(images).astype(str), 5)
    return selection.Features(plain.astype(np.float32), twins.astype(np.float32), labels, folds, classes)


def test_columns_that_tell_the_class_beat_columns_that_do_not():
    data = features()
    good = selection.compare(data, ["good"], np.arange(4))
    bad = selection.compare(data, ["bad"], np.arange(4, 64))
    assert good.log_loss < 0.5 < np.log(3) - 0.1 < bad.log_loss
    assert good.accuracy > 0.8


def test_an_answer_out_of_fold_comes_from_a_head_that_has_not_seen_the_image():
    data = features(noise=0)
    found = selection.compare(data, ["all"], np.arange(4))
    kept = data.folds != 2
    axes = logistic.principal_axes(data.plain)
    rows = axes.project(data.plain)
    views = [rows[kept], axes.project(data.mirrored)[kept]] if found.is_mirrored else [rows[kept]]
    by_hand = logistic.fit(np.concatenate(views), np.tile(data.labels[kept], len(views)), 3, found.penalty,
                           weights=np.full(kept.sum() * len(views), 1 / len(views)))
    one, same = (np.exp(log_softmax(each))
                 for each in (found.logits[~kept], rows[~kept] @ by_hand[:-1] + by_hand[-1]))
    np.testing.assert_allclose(one, same, atol=0.02)


def test_noise_is_answered_with_the_shares_of_the_classes():
    random = np.random.default_rng(5)
    data = features()
    data = selection.Features(data.plain, data.mirrored, random.permutation(data.labels), data.folds, 3)
    found = selection.compare(data, ["all"], np.arange(64))
    assert found.penalty > 100
    assert found.log_loss < np.log(3) + 0.1


@pytest.mark.parametrize("mirrored, expected", [("alike", True), ("misleading", False)])
def test_mirrored_images_are_trained_on_where_they_help(mirrored, expected):
    data = features(images=60, noise=100, mirrored=mirrored)
    assert selection.compare(data, ["all"], np.arange(104)).is_mirrored is expected
    assert not selection.compare(replace(data, may_mirror=False), ["all"], np.arange(104)).is_mirrored


def test_the_head_that_is_fitted_to_all_images_reads_raw_features():
    data = features()
    head = selection.fit_head(data, 1.0, True)
    assert head.kernel.shape == (64, 3)
    assert head.kernel.dtype == head.bias.dtype == np.float32
    assert (head.logits(data.plain).argmax(axis=1) == data.labels).mean() > 0.9


def test_folds_keep_groups_together_and_classes_even():
    labels = np.repeat([0, 1, 2], [40, 20, 11])
    groups = np.array([f"{label}-{number // 2}" for number, label in enumerate(labels)])
    folds = assign_folds(labels, groups, 5)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    for label in range(3):
        firsts = np.unique(groups[labels == label], return_index=True)[1]
        counts = np.bincount(folds[labels == label][firsts], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_folds_do_not_depend_on_the_order_and_are_fewer_for_small_classes():
    labels, groups = np.repeat([0, 1], [30, 3]), np.array([f"g{number}" for number in range(33)])
    folds = assign_folds(labels, groups, 5)
    order = np.random.default_rng(1).permutation(33)
    assert np.array_equal(assign_folds(labels[order], groups[order], 5), folds[order])
    assert set(folds) == {0, 1, 2}
    assert set(assign_folds(np.array([0, 0, 1]), np.array(["a", "b", "c"]), 5)) <= {0, 1}


def test_the_groups_of_a_rare_class_are_spread_though_they_have_images_of_others_too():
    """Of thirty patients with healthy images, two have an ill one: who answers the one must know the other."""
    for drawn in range(20):
        groups = np.array([f"{drawn}-{patient}" for patient in range(30) for _ in range(3)])
        labels = np.where(np.isin(np.arange(90), [2, 5]), 1, 0)
        folds = assign_folds(labels, groups, 5)
        assert len(set(folds[labels == 1])) == 2 == len(set(folds))


def test_the_temperature_is_chosen_by_other_images_than_it_is_judged_on():
    """Each fold would choose the temperature that is best for itself; the other fold's is the worst for it."""
    logits, labels = np.array([[4.0, 0.0], [0.0, 4.0]]), np.array([0, 0])       # one right, one wrong
    losses = comparison.losses_by_others(logits, labels, np.array([0, 1]))
    own = comparison.scaled_losses(logits, labels)
    assert losses[0] == own[-1, 0] > own[:, 0].min()
    assert losses[1] == own[0, 1] > own[:, 1].min()


def test_an_overconfident_model_is_judged_at_its_best_temperature():
    """Nine of ten right: 2 classes at the logits ±L cost least where the probability is 0.9."""
    logits, labels = np.tile([20.0, 0.0], (100, 1)), (np.arange(100) % 10 == 0).astype(int)
    expected = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert comparison.scaled_loss(logits, labels) == pytest.approx(expected, rel=0.05)


def test_a_gain_that_is_none_is_taken_for_one_in_at_most_the_promised_share(monkeypatch):
    """Heavy tails on both sides, as log losses have them."""
    monkeypatch.setattr(comparison, "DRAWS", 199)
    random = np.random.default_rng(3)
    tries = random.standard_t(2, size=(400, 60)) * random.exponential(size=(400, 60))
    taken = np.mean([comparison.chance_of_gain(gains) <= 0.05 for gains in tries])
    assert taken < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_the_best_of_several_settings_that_are_no_better_is_taken_in_at_most_the_promised_share(monkeypatch):
    """Four settings, and the best of them trained on; all are as good as the model that they would replace."""
    monkeypatch.setattr(comparison, "DRAWS", 199)
    random, taken, without = np.random.default_rng(4), 0, 0
    for _ in range(300):
        rivals = random.normal(size=60) + random.standard_t(3, size=(4, 60))
        best = rivals[rivals.mean(axis=1).argmax()] + 0.5 * random.normal(size=60)
        taken += comparison.chance_of_gain(best, rivals) <= 0.05
        without += comparison.chance_of_gain(best) <= 0.05
    assert taken / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300) < without / 300


def test_two_looks_at_models_that_are_as_good_err_as_rarely_as_one():
    """Probabilities of equally good models are uniform; so is that of both looks, at every level."""
    first, second = np.random.default_rng(5).random((2, 20_000))
    is_open = (first > comparison.DECISIVE) & (first < comparison.HOPELESS)
    both = [comparison.chance_at_second_look(*each) if more else each[0]
            for *each, more in zip(first, second, is_open)]
    for level in (0.01, comparison.DECISIVE, 0.05, 0.2, 0.45):
        assert np.mean(np.less_equal(both, level)) == pytest.approx(level, abs=4 * np.sqrt(level / 20_000))


def test_a_clear_gain_is_found_and_few_images_decide_nothing():
    assert comparison.chance_of_gain(np.full(20, 0.1)) < 0.001
    assert comparison.chance_of_gain(np.array([0.1, 0.2])) > 0.2


def test_a_training_that_diverged_proves_nothing_as_the_model_or_as_a_rival():
    labels, random = np.arange(40) % 2, np.random.default_rng(1)
    head, alike, diverged = (comparison.losses_by_others(logits, labels, np.arange(40) % 5) for logits in (
        random.normal(size=(40, 2)), random.normal(size=(40, 2)), np.full((40, 2), np.nan)))
    assert np.isfinite(diverged).all() and diverged.min() > max(head.max(), alike.max())
    assert comparison.chance_of_gain(head - diverged) == 1
    assert comparison.chance_of_gain(head - alike, [head - alike, head - diverged]) > 0.05
