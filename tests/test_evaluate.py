import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, log_loss, roc_auc_score
from tiny_bundle import make_bundle, make_images

from graft.errors import GraftError
from tasks import artifacts, evaluate, params

ROOT = Path(__file__).parent.parent
HISTORY = "epoch,learning_rate,accuracy,loss,val_accuracy,val_loss\n1,0.01,0.5,1.2,0.6,1.0\n2,0.01,0.7,0.9,0.7,0.8\n"
PARAMS = ("data:\n  images: data/colours\nevaluate:\n  confidence: 0.95\n  bootstrap_draws: 200\n  seed: 1\n"
          "publish:\n  name: colours\n")


def make_project(folder: Path, images=12, **bundle) -> Path:
    """All that stands before the stage: images, their split, a bundle, histories and summaries."""
    make_images(folder / "data/colours", images=images, spread=90)
    make_bundle(folder / artifacts.BUNDLE, **bundle)
    paths = sorted(path.relative_to(folder / "data/colours") for path in (folder / "data/colours").glob("*/*.png"))
    rows = [(path.as_posix(), path.parent.name, f"{number:064x}", ("train", "val", "test", "test")[number % 4], number)
            for number, path in enumerate(paths)]
    (folder / artifacts.SPLITS).parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=list(artifacts.SPLIT_COLUMNS)).to_csv(folder / artifacts.SPLITS, index=False)
    write_image_table(folder / artifacts.IMAGES, rows)
    for stage in ("transfer", "finetune"):
        (folder / "outputs" / stage).mkdir()
        (folder / "outputs" / stage / "history.csv").write_text(HISTORY)
        (folder / "outputs" / stage / "summary.json").write_text(
            '{"epochs": 2, "val_loss": 0.8, "kept": "transfer", "chance": 0.5}')
    write_choice(folder, rows)
    (folder / "params.yaml").write_text(PARAMS)
    return folder


def write_choice(folder: Path, rows) -> None:
    """What extract, transfer and choose leave for the report."""
    for path in (artifacts.ACTIVATIONS, artifacts.CHOICE):
        (folder / path).parent.mkdir()
    known = pd.DataFrame(rows, columns=list(artifacts.SPLIT_COLUMNS)).query("split != 'test'").assign(views=0)
    known[list(artifacts.ACTIVATION_COLUMNS)].to_csv(folder / artifacts.ACTIVATIONS, index=False)
    logits = {f"{artifacts.LOGIT}{name}": (known["label"] == name).astype(float) for name in known["label"].unique()}
    known.assign(fold=0, unknown_score=0.5, **logits).to_csv(folder / artifacts.TRANSFER_HELD_OUT, index=False)
    candidate, trial = ("last", 8, 1.0, True, 0.5, 0.9), ("last", 3e-4, 6, 0.4, 0.3, 0.5, 0.9, 7.5)
    pd.DataFrame([candidate], columns=list(artifacts.CANDIDATE_COLUMNS)).to_csv(folder / artifacts.CANDIDATES)
    pd.DataFrame([trial], columns=list(artifacts.TRIAL_COLUMNS)).to_csv(folder / artifacts.TRIALS)
    twice = {"class": "", "accuracy": 0.9, "value": 0.95, "low": 0.9, "high": 0.97}
    curve = {"images": [2, 4, 8], "accuracy": [0.7, 0.8, 0.9], "log_loss": [0.7, 0.6, 0.5]}
    (folder / artifacts.CHOICE).write_text(json.dumps({
        "cut": "last", "learning_rate": 3e-4, "reason": "the lowest log loss on val", "quadrant": "few and unlike",
        "gain": 0.1, "chance": 0.01, "halving": 0.2, "curve": curve, "passes": 7.5,
        "twice": {"all": twice, "classes": [{**twice, "class": "red"}]},
    }))


def write_image_table(path: Path, rows) -> pd.DataFrame:
    """images.csv for rows of a split: no image is a copy of another, or of a group."""
    table = pd.DataFrame([row[:3] for row in rows], columns=["path", "label", "sha256"])
    numbers = {"width_px": 32, "height_px": 24, "mode": "RGB", "format": "PNG", "size_bytes": 1, "contrast": 9.0}
    hashes = [f"{number:016x}" for number in range(len(table))]
    table = table.assign(**numbers, perceptual_hash=hashes, duplicate_group=table["sha256"], group="", given_split="")
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_table(path, table, artifacts.IMAGE_COLUMNS)
    return table


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path, sharpness=12))
    return tmp_path


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The stage's command, run once as DVC runs it."""
    folder = make_project(tmp_path_factory.mktemp("project"), sharpness=12, temperature=1.5)
    done = subprocess.run([sys.executable, "-m", "tasks.evaluate"], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "test images" in done.stdout
    return folder


def add_copies(images: Path) -> None:
    """Add to the test split two exact copies and a near-duplicate of its first image, which sort after it."""
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    table = artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS)
    first = splits[splits["split"] == "test"].iloc[0]
    row = table[table["path"] == first["path"]]
    for number, sha256 in enumerate((first["sha256"], first["sha256"], "f" * 64)):
        path = first["path"].replace(".png", f"-copy{number}.png")
        (images / path).write_bytes((images / first["path"]).read_bytes())
        splits.loc[len(splits)] = first.to_dict() | {"path": path, "sha256": sha256}
        table = pd.concat([table, row.assign(path=path, sha256=sha256)])
    artifacts.write_table(artifacts.SPLITS, splits.sort_values("path"), artifacts.SPLIT_COLUMNS)
    artifacts.write_table(artifacts.IMAGES, table.sort_values("path"), artifacts.IMAGE_COLUMNS)


def test_copies_in_the_test_split_count_once(project):
    evaluate.main()
    results = [path.read_bytes() for path in (artifacts.METRICS, artifacts.CLASSES)]
    add_copies(project / "data/colours")
    evaluate.main()
    assert [path.read_bytes() for path in (artifacts.METRICS, artifacts.CLASSES)] == results
    assert "3 more are copies of these" in artifacts.REPORT.read_text()
    assert artifacts.PREDICTIONS.read_text().count("-copy") == 3


def test_the_report_says_nothing_of_harm_by_more_images_nor_of_a_linear_head_where_it_was_the_recipes(project):
    choice = artifacts.read_json(artifacts.CHOICE)
    choice["twice"] = {"all": choice["twice"]["all"] | {"accuracy": 1.0, "value": 0.98, "high": 0.99}, "classes": []}
    artifacts.write_json(artifacts.CHOICE, choice | {"halving": -0.05, "quadrant": "many and alike"})
    summary = artifacts.read_json(artifacts.TRANSFER_SUMMARY)
    artifacts.write_json(artifacts.TRANSFER_SUMMARY, summary | {"head": "recipe"})
    evaluate.main()
    page = artifacts.REPORT.read_text()
    assert "Half of them would have had no higher log loss: more images would help little." in page
    assert "a linear head would hardly be better than today (100.0%)." in page and "Most would be gained" not in page
    assert "a head on its outputs learnt from the training images; the validation images told when to stop." in page


def test_metrics_are_recomputed_from_the_stored_predictions(evaluated):
    table = pd.read_csv(evaluated / artifacts.PREDICTIONS)
    metrics = json.loads((evaluated / artifacts.METRICS).read_text())
    columns = [name for name in table if name.startswith("p:")]
    probabilities = table[columns].to_numpy()
    names = [name[2:] for name in columns]
    one_hot = table["label"].to_numpy()[:, None] == np.array(names)
    expected = {
        "accuracy": accuracy_score(table["label"], table["predicted"]),
        "balanced_accuracy": balanced_accuracy_score(table["label"], table["predicted"]),
        "log_loss": log_loss(table["label"], probabilities, labels=names),
        "roc_auc": roc_auc_score(one_hot, probabilities, average="macro"),
        "average_precision": average_precision_score(one_hot, probabilities, average="macro"),
        "unknown_share": table["is_unknown"].mean(),
    }
    assert 0 < expected["accuracy"] < 1, "a test set without mistakes would show little"
    for name, value in expected.items():
        assert metrics[name]["value"] == pytest.approx(value, abs=1e-9), name
        assert metrics[name]["low"] <= value <= metrics[name]["high"]
        assert metrics[name]["images"] == 18


def test_intervals_and_classes_are_recomputed_from_the_stored_predictions(evaluated):
    from pipeline.evaluation import metrics, predictions

    table = pd.read_csv(evaluated / artifacts.PREDICTIONS, keep_default_na=False)
    temperature = json.loads((evaluated / artifacts.BUNDLE / "model.json").read_text())["temperature"]
    overall, classes = metrics.measure(predictions.to_answers(table), temperature, 0.95, 200, 1)
    stored = json.loads((evaluated / artifacts.METRICS).read_text())
    assert overall.keys() | {"held_out_accuracy"} == stored.keys()
    for name, metric in overall.items():
        assert stored[name] == pytest.approx(metric, abs=1e-9), name
    pd.testing.assert_frame_equal(classes, pd.read_csv(evaluated / artifacts.CLASSES), rtol=0, atol=1e-9)


def test_the_test_split_alone_is_scored(evaluated):
    splits = pd.read_csv(evaluated / artifacts.SPLITS)
    predictions = pd.read_csv(evaluated / artifacts.PREDICTIONS)
    assert predictions["path"].tolist() == splits.loc[splits["split"] == "test", "path"].tolist()


def test_predictions_are_what_users_of_the_bundle_get(evaluated):
    from graft.model.classifier import Classifier

    classifier = Classifier(evaluated / artifacts.BUNDLE)
    for row in pd.read_csv(evaluated / artifacts.PREDICTIONS).to_dict("records"):
        prediction = classifier.predict(evaluated / "data/colours" / row["path"])
        assert (prediction.label, prediction.is_unknown) == (row["predicted"], row["is_unknown"])
        assert prediction.probability == pytest.approx(row[f"p:{row['predicted']}"], abs=1e-6)


def test_a_second_run_writes_the_same_bytes(project):
    def run():
        evaluate.main()
        return {path: path.read_bytes() for path in sorted(Path("outputs/evaluate").rglob("*")) if path.is_file()}

    first = run()
    assert len(first) == 19
    assert run() == first


def test_every_listed_output_is_there_and_no_other(evaluated):
    outputs = {path.relative_to(evaluated) for path in (evaluated / "outputs/evaluate").iterdir()}
    assert outputs == {artifacts.PREDICTIONS, artifacts.METRICS, artifacts.SUMMARY, artifacts.CLASSES,
                       artifacts.REPORT, artifacts.VERDICT, artifacts.PLOTS}
    assert {path.name for path in (evaluated / artifacts.PLOTS).iterdir()} == {
        f"{name}.{suffix}" for name in ("training", "confusion", "roc", "precision_recall", "reliability")
        for suffix in ("csv", "png")
    } | {"choice.png", "coverage.png", "unknown.png"}


def test_no_epoch_of_finetuning_is_no_error(project):
    Path("outputs/finetune/history.csv").write_text(HISTORY.splitlines()[0] + "\n")
    evaluate.main()
    assert pd.read_csv(artifacts.PLOTS / "training.csv")["stage"].unique().tolist() == ["transfer"]


def test_all_images_that_cannot_be_read_are_named(project):
    missing, broken = Path("data/colours/blue/02.png"), Path("data/colours/red/03.png")
    missing.unlink()
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    with pytest.raises(GraftError, match=r"(?s)blue/02.png: no such file.*red/03.png: broken"):
        evaluate.main()
    assert not Path("outputs/evaluate").exists()


def test_labels_that_the_model_does_not_know_are_named(project):
    table = pd.read_csv(artifacts.SPLITS)
    table.loc[table["split"] == "test", "label"] = "mauve"
    table.to_csv(artifacts.SPLITS, index=False)
    with pytest.raises(GraftError, match="blue, green, red, but images are labelled mauve"):
        evaluate.main()


def test_an_empty_test_split_is_said(project):
    table = pd.read_csv(artifacts.SPLITS)
    table.loc[table["split"] == "test", "split"] = "val"
    table.to_csv(artifacts.SPLITS, index=False)
    with pytest.raises(GraftError, match=r"split.test_share"):
        evaluate.main()


@pytest.mark.parametrize(("key", "value"), [("confidence", 1.0), ("bootstrap_draws", 99), ("seed", -1)])
def test_parameters_out_of_range_are_named(project, key, value):
    Path("params.yaml").write_text(PARAMS.replace(f"{key}: ", f"{key}: {value} # "))
    with pytest.raises(GraftError, match=key):
        params.read_params("evaluate", evaluate.EvaluateParams)


def test_a_suspect_that_somebody_decided_on_is_left_out_and_counted(tmp_path):
    """Whatever was decided: a dropped image is in no split."""
    (tmp_path / "pets.decisions.csv").write_text("sha256,path,decision,reason,by,at\n" + "".join(
        f"{digit * 64},{digit}.png,{decision},,,\n" for digit, decision in (("a", "keep"), ("c", "label=red"))))
    files = pd.Series([digit * 64 for digit in "abcd"])
    suspects, settled = evaluate.unsettled(np.array([3, 2, 0]), files, tmp_path / "pets")
    assert (suspects.tolist(), settled) == ([3], 2)
    assert evaluate.unsettled(np.array([3, 2]), files, tmp_path / "other")[0].tolist() == [3, 2]
