import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
import pytest
import sklearn.metrics
import sklearn.utils.class_weight

from pipeline.probing.comparison import TEMPERATURES
from pipeline.training import backend, fitting, heads, scoring
from pipeline.training.examples import Vectors, balanced_weights

OPTIONS = {"patience": 3, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.01, "momentum": 0.0,
           "warmup_epochs": 0.0, "decay": "none", "label_smoothing": 0.0, "class_weights": "balanced", "seed": 1}
LONG = {"epochs": 10, "patience": 10}


def blobs(seed, images=60, views=2):
    """Two separable classes in 8 dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    features = rng.normal(size=(images, views, 8)) + 1.5 * labels[:, None, None]
    return Vectors(features.astype(np.float32), labels)


def train(tmp_path, epochs=4, **changes):
    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=8, dropout=0.3)
    progress, _ = fitting.fit(head, blobs(1), blobs(2, views=1), checkpoint=tmp_path / "c.npz", epochs=epochs,
                           **{**OPTIONS, **changes})
    return head, progress


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights()))


def test_it_learns_and_tells_its_history(tmp_path):
    head, progress = train(tmp_path, epochs=20)
    assert [row["epoch"] for row in progress.history] == list(range(1, len(progress.history) + 1))
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    accuracy, loss = scoring.score(scoring.predict(head, blobs(2, views=1)), blobs(2).labels)
    assert accuracy > 0.9
    assert loss == min(row["val_loss"] for row in progress.history) == progress.best_loss


def test_a_model_that_is_fitted_again_at_another_rate_is_that_of_a_new_one(tmp_path):
    def fitted(head, rate):
        options = OPTIONS | {"learning_rate": rate, "averaging_epochs": 1.0}
        train_set = blobs(1, images=60 if rate == 0.01 else 90)     # the average reaches back 4 steps, or 6
        return fitting.fit(head, train_set, blobs(2, views=1), checkpoint=tmp_path / f"{rate}.npz", epochs=3, **options)

    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=8, dropout=0.3)
    before = [np.array(variable) for variable in head.variables]
    fitted(head, 0.1)
    step = head.train_function
    fitting.assign(head.variables, before)
    _, again = fitted(head, 0.01)
    assert head.train_function is step          # not compiled anew
    (tmp_path / "0.01.npz").unlink()
    backend.make_deterministic(1)
    _, alone = fitted(heads.build_head(8, 2, hidden_units=8, dropout=0.3), 0.01)
    assert np.array_equal(again, alone)


def test_float16_scales_its_loss_and_averages_the_weights_as_float32_does(tmp_path):
    def fitted(policy):
        backend.make_deterministic(1)
        with backend.precision(policy):
            head = heads.build_head(8, 2, hidden_units=8, dropout=0)
        options = {**OPTIONS, "patience": None, "averaging_epochs": 5.0}
        _, logits = fitting.fit(head, blobs(1), blobs(2, views=1), checkpoint=tmp_path / f"{policy}.npz", epochs=3,
                                **options)
        return head, logits

    (half, logits), (_, expected) = fitted("mixed_float16"), fitted("float32")
    assert isinstance(half.optimizer, keras.optimizers.LossScaleOptimizer)
    np.testing.assert_allclose(logits, expected, atol=0.02)


def test_where_float16_leaves_out_every_step_the_weights_stay(tmp_path):
    with backend.precision("mixed_float16"):
        head = heads.build_head(8, 2, hidden_units=8, dropout=0)
    before = head.get_weights()
    fitting.prepare(head, "adam", 0.0, 0.0, is_averaging=True)
    head.optimizer.initial_scale = 2.0**100         # beyond what gradients can hold
    options = {**OPTIONS, "patience": None, "averaging_epochs": 1.0}
    fitting.fit(head, blobs(1), blobs(2, views=1), checkpoint=tmp_path / "c.npz", epochs=1, **options)
    assert all(np.array_equal(one, other) for one, other in zip(before, head.get_weights()))


def test_score_is_that_of_scikit_learn_at_the_best_temperature():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 4)) * 5, rng.integers(0, 4, 50)
    scaled = [np.exp(logits / temperature) for temperature in TEMPERATURES]
    losses = [sklearn.metrics.log_loss(labels, each / each.sum(axis=1, keepdims=True)) for each in scaled]
    accuracy, loss = scoring.score(logits, labels)
    assert accuracy == sklearn.metrics.accuracy_score(labels, logits.argmax(axis=1))
    assert loss == pytest.approx(min(losses), abs=1e-9)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 4)
    expected = sklearn.utils.class_weight.compute_sample_weight("balanced", labels)
    assert np.allclose(balanced_weights(labels), expected)


def test_class_weights_really_act(tmp_path):
    """One optimizer step on a batch of three to one moves the biases as if the classes were equally frequent."""
    train_set = Vectors(np.zeros((4, 1, 8), np.float32), np.array([0, 0, 0, 1]))
    def bias(class_weights):
        keras.utils.set_random_seed(1)
        head = heads.build_head(8, 2, 0, 0)
        head.set_weights([np.zeros_like(each) for each in head.get_weights()])
        fitting.fit(head, train_set, train_set, checkpoint=tmp_path / f"{class_weights}.npz", epochs=1, **{
            **OPTIONS, "class_weights": class_weights, "optimizer": "sgd", "batch_size": 4, "learning_rate": 1.0})
        return head.get_weights()[-1]
    assert np.allclose(bias("balanced"), 0, atol=1e-6)
    assert bias("none")[0] > 0.2          # gradient of the mean log loss: 0.5 - 3/4


def test_nothing_better_keeps_the_first_weights(tmp_path):
    """On a val set whose labels are all wrong, learning can only make it worse."""
    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=0, dropout=0)
    head.set_weights([np.zeros_like(each) for each in head.get_weights()])
    wrong = Vectors(blobs(2, views=1).features, 1 - blobs(2).labels)
    progress, _ = fitting.fit(head, blobs(1), wrong, checkpoint=tmp_path / "c.npz", epochs=10, **OPTIONS)
    assert progress.best_epoch == -1
    assert len(progress.history) == OPTIONS["patience"]
    assert not any(each.any() for each in head.get_weights())


def test_without_patience_every_epoch_is_trained_and_the_last_weights_are_kept(tmp_path):
    """On a val set whose labels are all wrong, the loss rises from the first epoch on."""
    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=0, dropout=0)
    wrong = Vectors(blobs(2, views=1).features, 1 - blobs(2).labels)
    options = {**OPTIONS, "patience": None}
    progress, logits = fitting.fit(head, blobs(1), wrong, checkpoint=tmp_path / "c.npz", epochs=6, **options)
    losses = [row["val_loss"] for row in progress.history]
    assert losses == sorted(losses) and progress.summary() == {"epochs": 6, "best_epoch": 6, "val_loss": losses[-1]}
    assert np.array_equal(scoring.predict(head, wrong), logits[-1])


def test_no_epochs_keep_the_model_and_measure_it(tmp_path):
    head, progress = train(tmp_path, epochs=0)
    expected = scoring.score(scoring.predict(head, blobs(2, views=1)), blobs(2, views=1).labels)[1]
    assert progress.summary() == {"epochs": 0, "best_epoch": 0, "val_loss": expected}


def test_without_val_the_last_weights_are_kept_and_the_log_says_nothing_of_val(tmp_path, capsys):
    backend.make_deterministic(1)
    head = heads.build_head(8, 2, hidden_units=0, dropout=0)
    options = {**OPTIONS, "patience": None}
    progress, logits = fitting.fit(head, blobs(1), None, checkpoint=tmp_path / "c.npz", epochs=2, **options)
    assert (progress.best_epoch, logits.size) == (1, 0)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert len(said) == 2 and not any("val" in line or "nan" in line for line in said)


def test_it_stops_when_val_does_not_fall_for_patience_epochs(tmp_path):
    _, progress = train(tmp_path, epochs=200, patience=2, learning_rate=0.1)
    assert len(progress.history) < 200
    assert progress.epoch == progress.best_epoch + 1 + 2


def test_two_runs_end_with_the_same_bits(tmp_path):
    assert same(train(tmp_path)[0], train(tmp_path)[0])


@pytest.mark.parametrize("steps, kept", [(1, {}), (4, {}), (7, {"patience": None, "averaging_epochs": 1.0}), (11, {})])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path, steps, kept, monkeypatch):
    """Save after every step, lose the process after some, continue in a new model."""
    schedule = {"warmup_epochs": 1.0, "decay": "cosine", **kept}
    whole, whole_progress = train(tmp_path / "whole", **schedule)
    monkeypatch.setattr(fitting, "CHECKPOINT_EVERY_S", -1)
    original, left = fitting._Fit._save, [steps]

    def save_and_die(fit):
        original(fit)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting._Fit, "_save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", **schedule)
    monkeypatch.setattr(fitting._Fit, "_save", original)
    continued, progress = train(tmp_path / "killed", **schedule)
    assert same(whole, continued)
    assert progress == whole_progress
    assert [row["learning_rate"] for row in progress.history] == pytest.approx([0.01, 0.0075, 0.0025, 0], abs=1e-9)


def test_sigterm_saves_first_and_after_a_kill_too_the_run_ends_with_the_same_bits(tmp_path):
    program = textwrap.dedent(f"""
        import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]}
        from pathlib import Path
        import test_fitting
        test_fitting.fitting.CHECKPOINT_EVERY_S = 0.2
        epoch = test_fitting.fitting._Fit._epoch

        def epoch_and_wait(fit, terminated):
            epoch(fit, terminated)
            if fit.progress.epoch == int(sys.argv[2]):
                terminated.wait()       # for the signal that is sent now

        test_fitting.fitting._Fit._epoch = epoch_and_wait
        head, progress = test_fitting.train(Path(sys.argv[1]), **test_fitting.LONG)
        head.save_weights(sys.argv[1] + "/head.weights.h5")
    """)
    def run(folder, waits_after=0):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-u", "-c", program, str(folder), str(waits_after)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed = run(tmp_path / "b", waits_after=2)
    next(line for line in killed.stdout if line.startswith("epoch 2:"))
    killed.send_signal(signal.SIGTERM)
    killed.communicate()
    assert killed.returncode == 128 + signal.SIGTERM
    assert (tmp_path / "b" / "c.npz").exists()
    again = run(tmp_path / "b", waits_after=6)
    assert next(again.stdout).startswith("continuing at epoch")
    next(line for line in again.stdout if line.startswith("epoch 6:"))
    again.kill()
    again.communicate()
    last = run(tmp_path / "b")
    assert "continuing at epoch" in last.communicate()[0]
    undisturbed, _ = train(tmp_path / "a", **LONG)
    continued = heads.build_head(8, 2, hidden_units=8, dropout=0.3)
    continued.load_weights(tmp_path / "b" / "head.weights.h5")
    assert same(undisturbed, continued)


def test_sigterm_while_the_last_epoch_is_validated_ends_the_process_too(tmp_path, monkeypatch):
    told, validate = threading.Event(), fitting._Fit._validate

    def validate_and_be_told(fit):
        if fit.progress.epoch == 1:
            told.set()
        return validate(fit)

    monkeypatch.setattr(fitting, "sigterm_as_flag", lambda: nullcontext(told))
    monkeypatch.setattr(fitting._Fit, "_validate", validate_and_be_told)
    with pytest.raises(SystemExit):
        train(tmp_path / "killed", epochs=2)
    monkeypatch.undo()
    assert same(train(tmp_path / "killed", epochs=2)[0], train(tmp_path / "whole", epochs=2)[0])


def test_label_smoothing_is_that_of_its_formula(tmp_path):
    """From zero logits one step moves the biases by target - probability."""
    def bias(smoothing):
        head = heads.build_head(8, 2, 0, 0)
        head.set_weights([np.zeros_like(each) for each in head.get_weights()])
        one = Vectors(np.zeros((4, 1, 8), np.float32), np.zeros(4, np.int64))
        fitting.fit(head, one, one, checkpoint=tmp_path / f"{smoothing}.npz", epochs=1, **{
            **OPTIONS, "optimizer": "sgd", "batch_size": 4, "learning_rate": 1.0, "label_smoothing": smoothing})
        return head.get_weights()[-1]
    assert np.allclose(bias(0.0), [0.5, -0.5], atol=1e-6)
    assert np.allclose(bias(0.2), [0.4, -0.4], atol=1e-6)
