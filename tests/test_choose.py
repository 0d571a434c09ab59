"""The stage on a small set of digits: what it tries, what that costs, and that it chooses the same again."""

import json
import shutil
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny_project import copied

from pipeline.probing import quadrant
from pipeline.training import backbones
from tasks import artifacts, choose, held_out, tuning
from tasks.data import DataParams
from tasks.params import read_params

AUTO = {"extract.backbone.cut": "auto", "finetune.learning_rate": "auto", "finetune.epochs": 4}


@pytest.fixture(scope="module")
def chosen(project, tmp_path_factory):
    """A copy of the small project after `choose` with everything left to it."""
    own = copied(project, tmp_path_factory.mktemp("choose") / "project")
    own.change({**AUTO, "choose.budget": 25.0})
    own.run("dvc", "repro", "choose")
    return own


def read(project) -> tuple[dict, pd.DataFrame]:
    folder = project.folder / "outputs/choose"
    return json.loads((folder / "choice.json").read_text()), pd.read_csv(folder / "trials.csv", keep_default_na=False)


def test_it_tries_settings_within_its_budget_and_takes_the_one_with_the_lowest_loss(chosen):
    choice, trials = read(chosen)
    assert trials["log_loss"].is_monotonic_increasing
    assert choice["cut"] == (trials["cut"][0] or None)
    assert trials["passes"].sum() == pytest.approx(choice["passes"])
    assert 0 < choice["passes"] <= 25
    assert set(trials["epochs"]) <= {0, 3, 4, 6}        # the head, and the two rungs; 4 epochs are the most
    assert ((trials["log_loss_low"] <= trials["log_loss"]) & (trials["log_loss"] <= trials["log_loss_high"])).all()
    assert choice["quadrant"] in ("few and alike", "few and unlike", "many and alike", "many and unlike")
    assert choice["curve"]["images"] == sorted(choice["curve"]["images"])


def test_what_transfer_has_cross_validated_is_not_done_again(chosen):
    """The figures are those of transfer's outputs to the last digit, which other fits would not give."""
    choice, outputs = read(chosen)[0], chosen.folder / "outputs/transfer"
    losses = np.load(outputs / "losses.npz")
    candidates = pd.read_csv(outputs / "candidates.csv")
    assert candidates["log_loss"].tolist() == pytest.approx([each.mean() for each in losses.values()], rel=1e-12)
    assert choice["gain"] == pytest.approx(candidates["log_loss"].iloc[0] - candidates["log_loss"].iloc[-1], rel=1e-9)
    assert choice["curve"]["accuracy"][-1] == json.loads((outputs / "summary.json").read_text())["accuracy"]


def test_a_killed_run_continues_and_chooses_the_same_bytes(chosen):
    outputs, cache = chosen.folder / "outputs/choose", chosen.folder / ".graft"
    first = {path.name: path.read_bytes() for path in outputs.iterdir()}
    shutil.rmtree(cache)
    with subprocess.Popen([sys.executable, "-m", "tasks.choose"], cwd=chosen.folder, env=chosen.environment(),
                          stdout=subprocess.DEVNULL) as killed:
        while not any(cache.glob("finetune/*/[!.]*.npz")) and killed.poll() is None:
            time.sleep(0.05)
        killed.kill()
    assert "continuing at epoch" in chosen.run("python", "-m", "tasks.choose").stdout
    assert {path.name: path.read_bytes() for path in outputs.iterdir()} == first


def test_what_is_pinned_is_kept_and_nothing_is_tried_without_a_budget(chosen):
    chosen.change({"extract.backbone.cut": "block_12_add", "finetune.learning_rate": 2e-3})
    chosen.run("python", "-m", "tasks.choose")
    choice, trials = read(chosen)
    assert (choice["cut"], choice["learning_rate"], len(trials)) == ("block_12_add", 2e-3, 0)
    chosen.change({**AUTO, "choose.budget": 0.0})
    chosen.run("python", "-m", "tasks.choose")
    choice, trials = read(chosen)
    assert (choice["cut"], choice["reason"], trials["cut"].tolist()) == (None, "choose.budget allows no trial", [""])


def test_few_images_like_the_backbones_own_are_left_to_the_head_at_no_cost(chosen, monkeypatch):
    chosen.change(AUTO)
    monkeypatch.chdir(chosen.folder)
    [alike, unlike] = (quadrant.Quadrant(0.0, chance, halving=0.5, curve=None) for chance in (1.0, 0.0))
    choice, [head] = choose.find_choice(read_params("finetune", choose.FinetuneParams), 25.0, alike, None)
    assert (choice["cut"], choice["reason"]) == (None, "few images, and like the backbone's own")
    assert (head.setting, head.passes) == (None, 0)
    assert not unlike.is_few_and_alike


def test_a_setting_that_a_killed_run_trained_further_is_judged_after_as_many_epochs_as_the_others(chosen, monkeypatch):
    monkeypatch.chdir(chosen.folder)
    logits = np.random.default_rng(1).normal(size=(5, len(artifacts.read_examples("val")), 3))
    trained_further = SimpleNamespace(fit=lambda *_: (None, None, None, logits))
    experiment, setting = choose.Experiment(trained_further, {"top": 0.5}, 100.0), tuning.Setting("top", 1e-3)
    assert experiment.train(setting, 3)
    assert np.array_equal(experiment.trials[setting].losses, held_out.judge(logits[3]))


def test_a_pinned_cut_without_a_budget_is_not_said_to_have_the_lowest_loss(chosen, monkeypatch):
    chosen.change({**AUTO, "extract.backbone.cut": "block_12_add"})
    monkeypatch.chdir(chosen.folder)
    monkeypatch.setattr(choose, "try_settings", lambda *_: SimpleNamespace(trials={}))
    choice, _ = choose.find_choice(read_params("finetune", choose.FinetuneParams), 0.0, None, None)
    chosen.change(AUTO)
    assert choice == {"cut": "block_12_add", "learning_rate": 3e-4, "reason": "choose.budget allows no trial"}


def test_only_classes_that_gain_are_said_to_gain_by_more_images(chosen, monkeypatch):
    """Of twenty images in each class, eight, four and two of one are wrong, and none of the others."""
    monkeypatch.chdir(chosen.folder)
    labels = np.repeat([0, 1, 2], 20)
    right = np.stack([np.where(labels == 1, np.arange(60) >= 20 + wrong, True).astype(float) for wrong in (8, 4, 2)])
    found = choose.gains_of_more(SimpleNamespace(labels=labels), SimpleNamespace(curve=SimpleNamespace(right=right)))
    assert [row["class"] for row in found["classes"]] == ["4"]


def test_train_images_judge_models_that_have_learnt_from_the_others_alone(chosen, monkeypatch):
    """Models that are not trained on answer as their heads do: no better than transfer's."""
    monkeypatch.chdir(chosen.folder)
    learnt = []
    monkeypatch.setattr(tuning, "fit_model", lambda models, examples, *_: learnt.append(examples.paths))
    finetune, images = read_params("finetune", tuning.FinetuneParams), read_params("data", DataParams).folder
    answer = partial(tuning.Tuner(finetune, images).answer_fold, tuning.Setting("block_12_add", 3e-4))
    folds = held_out.folds_of_train(100)
    assert folds == [0, 1, 2, 3, 4] and held_out.folds_of_train(20) == [0, 1]       # of 83 train images
    assert held_out.chance_on_train(folds, answer) > 0.05
    table = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)[0]
    for fold, paths in zip(folds, learnt):
        assert sorted(paths) == sorted(table["path"][table["fold"] != fold])


@pytest.mark.parametrize("is_many, is_alike, cuts", [
    (True, True, ["top", "top", "lower"]), (True, False, ["top", "top", "lower", "images"]),
    (False, False, ["top", "top", "lower", "images"]),
])
def test_the_quadrant_names_what_is_tried_and_what_is_pinned_stays(is_many, is_alike, cuts, monkeypatch):
    network = backbones.build("MobileNetV2", (32, 32), 0.35)
    found = SimpleNamespace(is_many=is_many, is_alike=is_alike)
    names = {"block_12_add": "top", backbones.IMAGES: "images", "block_3": "block_3"}

    def tried(cut, rate) -> list[tuple]:
        monkeypatch.setattr(choose, "read_sections", lambda: {"extract": {"backbone": {"cut": cut}}})
        settings = choose.settings_to_try(SimpleNamespace(learning_rate=rate), found, network, "block_12_add")
        return [(names.get(each.cut, "lower"), each.learning_rate) for each in settings]

    assert [cut for cut, _ in tried("auto", "auto")] == cuts
    assert tried("auto", 0.01) == [(cut, 0.01) for cut in dict.fromkeys(cuts)]
    assert tried("block_3", "auto") == [("block_3", rate) for rate in choose.RATES]
