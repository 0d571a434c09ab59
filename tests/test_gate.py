import filecmp
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from test_card import CARD
from test_evaluate import PARAMS, add_copies, make_project, write_image_table
from tiny_bundle import COLOURS, make_bundle

import tasks.publish
from graft import registry
from graft.errors import GraftError
from graft.registry.compare import read_manifest
from pipeline.evaluation.report import CANDIDATE
from pipeline.evaluation.report import GATE as REPORT_GATE
from tasks import artifacts, evaluate, gate

GATE = "gate:\n  min_accuracy: 0.5\n  min_class_recall: 0.1\n  significance: 0.05\n  max_class_recall_drop: 0.1\n"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """A project before its first publication, with the answers of its model."""
    folder = make_project(tmp_path_factory.mktemp("evaluated") / "project", images=40)
    (folder / "params.yaml").write_text(PARAMS + GATE + CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        evaluate.main()
    return folder


@pytest.fixture
def project(evaluated, tmp_path, monkeypatch):
    """A copy of it, with a registry and a user's cache of its own."""
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFT_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def run(evaluated, project):
    """Judge the model, after its answers if the test has changed what they rest on."""
    def judge() -> dict:
        if inputs(project) != inputs(evaluated):
            evaluate.main()
        gate.main()
        return json.loads(artifacts.GATE.read_text())

    return judge


def inputs(project: Path) -> dict[Path, bytes]:
    folders = (artifacts.BUNDLE, artifacts.SPLITS.parent, artifacts.IMAGES.parent, Path("data"))
    return {path.relative_to(project): path.read_bytes() for folder in folders for path in (project / folder).rglob("*")
            if path.is_file()}


def publish(bundle, split=artifacts.SPLITS, promote=True):
    published = registry.publish(bundle, "colours", "registry", attachments={"splits.csv": split} if split else {})
    if promote:
        registry.promote(published.address, reason="for the test")
    return published


def worse_bundle(folder) -> Path:
    """One whose blue and green have changed places: right for red alone."""
    names = {"blue": "green", "green": "blue", "red": "red"}
    make_bundle(folder)
    description = json.loads((folder / "model.json").read_text())
    description["class_names"] = [names[name] for name in description["class_names"]]
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def test_the_first_model_is_held_to_the_floors(project, run):
    report = run()
    assert (report["verdict"], report["champion_version"]) == ("PROMOTE", None)
    page, judged = artifacts.GATE_PAGE.read_text(), artifacts.JUDGED_REPORT.read_text()
    head = f"Candidate of {datetime.now(UTC):%Y-%m-%d}, no commit known."
    assert "The first model" in page and head in page and head in judged
    assert "The gate: PROMOTE, the first model" in judged
    assert CANDIDATE in artifacts.REPORT.read_text() and not (CANDIDATE in judged or REPORT_GATE in judged)


def test_copies_in_the_test_split_count_once(project, run):
    publish(worse_bundle(project / "worse"))
    before = run()
    add_copies(project / "data/colours")
    after = run()
    assert (before.pop("copies"), after.pop("copies")) == (0, 3)
    assert after == before
    assert "3 test images were left out, because they are copies of others" in artifacts.GATE_PAGE.read_text()


def test_a_version_that_was_never_promoted_is_no_champion(project, run):
    publish(worse_bundle(project / "other"), promote=False)
    assert run()["champion_version"] is None


def test_a_better_model_replaces_the_champion(project, run):
    publish(worse_bundle(project / "other"))
    report = run()
    assert (report["verdict"], report["champion_version"], report["excluded"]) == ("PROMOTE", 1, 0)
    assert report["champion"]["value"] < 0.5 < report["candidate_on_same"]["value"]
    assert report["wins"] > report["losses"]
    assert artifacts.GATE_PAGE.read_text().count("data:image/jpeg") > 10


def test_a_worse_model_is_rejected(project, run):
    publish(artifacts.BUNDLE)
    shutil.rmtree(artifacts.BUNDLE)
    worse_bundle(artifacts.BUNDLE)
    assert run()["verdict"] == "REJECT"


def test_the_champion_itself_is_recognized(project, run):
    publish(artifacts.BUNDLE)
    report = run()
    assert report["verdict"] == "HOLD" and report["reasons"] == ["this model is already the champion, version 1"]
    assert "already published as version 1, and no new version is made" in artifacts.GATE_PAGE.read_text()
    assert tasks.publish.outcome(tasks.publish.run(report)[0]).endswith("registry/colours@1 was already published")


def test_the_champion_is_scored_with_its_own_image_size(project, run, monkeypatch):
    monkeypatch.setattr("tiny_bundle.IMAGE_SIZE", (10, 14))
    publish(make_bundle(project / "other"))
    report = run()
    assert report["verdict"] == "HOLD" and report["champion"]["value"] > 0.7


def test_what_the_champion_learnt_is_left_out_by_content_and_not_by_name(project, run):
    splits = pd.read_csv(artifacts.SPLITS)
    test = splits[splits["split"] == "test"]
    learnt = test.iloc[:7].assign(path="elsewhere/" + test["path"].iloc[:7], split=["train"] * 4 + ["val"] * 3)
    pd.concat([learnt, test.iloc[7:]]).to_csv(project / "splits.csv", index=False)
    publish(worse_bundle(project / "other"), split=project / "splits.csv")
    report = run()
    assert (report["excluded"], report["images"]) == (7, len(test) - 7)


def test_copies_and_groups_of_what_the_champion_learnt_are_left_out_too(project, run):
    splits = pd.read_csv(artifacts.SPLITS, dtype=str)
    test = splits.loc[splits["split"] == "test", "sha256"].tolist()
    learnt = [f"{number:064x}" for number in range(1000, 1006)]
    rows = [(f"gone/{number}.png", "red", each, "train") for number, each in enumerate(learnt)]
    pd.DataFrame(rows, columns=list(splits)[:4]).to_csv(project / "splits.csv", index=False)
    theirs = write_image_table(project / "then/images.csv", [*rows, ("gone/6.png", "red", test[0], "")])
    ours = pd.read_csv(artifacts.IMAGES, dtype=str, keep_default_na=False).set_index("sha256")
    theirs.loc[6, "duplicate_group"] = learnt[0]                # a copy that was left out then
    theirs["perceptual_hash"] = [f"{number:016x}" for number in range(500, 507)]
    ours.loc[test[1], "duplicate_group"] = test[0]              # a copy of that copy, found today
    ours.loc[test[2], "perceptual_hash"] = theirs.loc[2, "perceptual_hash"]     # the original is gone
    theirs.loc[3, "group"] = ours.loc[test[3], "group"] = "patient 7"
    theirs.loc[4, "perceptual_hash"] = "0"                      # of an empty picture: two others share it
    ours.loc[test[4:6], "perceptual_hash"] = "0"
    artifacts.write_table(artifacts.IMAGES, ours.reset_index(), artifacts.IMAGE_COLUMNS)
    artifacts.write_table(project / "images.csv", theirs, artifacts.IMAGE_COLUMNS)
    registry.publish(worse_bundle(project / "other"), "colours", "registry",
                     attachments={name: project / name for name in ("splits.csv", "images.csv")})
    registry.promote("colours@1")
    report = run()
    assert (report["copies"], report["excluded"]) == (1, 3)


def test_a_champion_without_its_split_is_for_a_person(project, run):
    publish(worse_bundle(project / "other"), split=None)
    report = run()
    assert report["verdict"] == "HOLD"
    assert "publishing it does not make it the champion" in artifacts.GATE_PAGE.read_text()
    assert tasks.publish.outcome(tasks.publish.run(report)[0]).endswith("registry/colours@2 is published")


def test_a_lost_class_is_said(project, run):
    publish(artifacts.BUNDLE)
    shutil.rmtree(artifacts.BUNDLE)
    make_bundle(artifacts.BUNDLE, class_names=tuple(COLOURS)[:2])
    splits = pd.read_csv(artifacts.SPLITS)
    splits[splits["label"] != "red"].to_csv(artifacts.SPLITS, index=False)
    report = run()
    assert (report["verdict"], report["classes_lost"]) == ("HOLD", ["red"])


def test_a_registry_that_cannot_be_read_is_never_an_empty_one(project, run):
    publish(artifacts.BUNDLE)
    entry = next(Path("registry/models/colours/log").iterdir())
    entry.write_text("{}")
    with pytest.raises(GraftError, match="log"):
        run()
    assert not artifacts.GATE.exists()


@pytest.mark.parametrize("change", ["bundle", "images"])
def test_answers_of_another_model_or_to_other_images_are_not_judged(project, change):
    if change == "bundle":
        shutil.rmtree(artifacts.BUNDLE)
        worse_bundle(artifacts.BUNDLE)
    else:
        splits = pd.read_csv(artifacts.SPLITS)
        splits.drop(index=splits[splits["split"] == "test"].index[0]).to_csv(artifacts.SPLITS, index=False)
    with pytest.raises(GraftError, match="dvc repro evaluate"):
        gate.main()


def test_a_second_run_writes_the_same_bytes(project, run):
    publish(worse_bundle(project / "other"))
    run()
    shutil.copytree("outputs/gate", "first")
    run()
    names = ["gate.json", "gate.html", "report.html"]
    assert filecmp.cmpfiles("first", "outputs/gate", names, shallow=False)[0] == names


def test_what_passes_is_published_and_takes_the_champions_place(project, run):
    publish(worse_bundle(project / "other"))
    report = run()
    published, is_promoted = tasks.publish.run(report)
    manifest = read_manifest("colours@champion")
    assert is_promoted and published.version == manifest.number == 2
    assert tasks.publish.run(report)[1] is False        # as a run at the same moment does, which came second
    assert manifest.facts["params"]["gate"]["min_accuracy"] == 0.5
    assert manifest.facts["data"]["images"]["red"] == {"train": 10, "val": 10, "test": 20}
    assert {"splits.csv", "gate.html", "metrics.json", "report.html"} <= manifest.attachments.keys()
    entry = registry.history("colours")[-1]
    assert entry.reason.startswith("better than the champion") and entry.gate["wins"] > 0


def test_a_run_that_died_between_publishing_and_promoting_is_made_good_by_the_next(project, run):
    """The version stands, the champion is still the other: the gate decides as before, nothing is published twice."""
    publish(worse_bundle(project / "other"))
    publish(artifacts.BUNDLE, promote=False)
    assert run()["verdict"] == "PROMOTE"
    for _ in range(2):
        tasks.publish.main()
        assert registry.history("colours", "registry")[-1].version == 2
        assert run()["verdict"] == "HOLD"
    assert len(list((project / "registry/models/colours/versions").iterdir())) == 2


def test_a_version_that_was_rolled_back_waits_for_a_person(project, run):
    publish(worse_bundle(project / "other"))
    assert tasks.publish.run(run())[0].version == 2
    registry.rollback("colours", reason="bad in the field")
    report = run()
    assert report["verdict"] == "HOLD" and "bad in the field" in report["reasons"][0]
    assert tasks.publish.run(report)[0].version == 2
    assert registry.history("colours")[-1].version == 1
    registry.promote("colours@2", reason="it was the camera")
    registry.promote("colours@1", reason="for the test")
    assert run()["verdict"] == "PROMOTE"


def test_a_first_version_that_was_rolled_back_waits_for_a_person_too(project, run):
    tasks.publish.run(run())
    with pytest.raises(GraftError, match="version 1 is the only champion .*, so there is none to go back to"):
        registry.rollback("colours")
    registry.rollback("colours", to_none=True)
    assert run()["verdict"] == "HOLD"


def test_a_withdrawn_version_waits_for_a_person(project, run):
    publish(worse_bundle(project / "other"))
    publish(artifacts.BUNDLE, promote=False)
    registry.withdraw("colours@2", reason="blurred cameras", by="ann")
    report = run()
    assert report["verdict"] == "HOLD" and "which ann withdrew at" in report["reasons"][0]
    assert "(blurred cameras)" in report["reasons"][0]
    registry.promote("colours@2")
    assert "already the champion" in run()["reasons"][0]


def test_a_champion_of_meanwhile_is_not_replaced(project, run):
    report = run()
    publish(worse_bundle(project / "other"))
    with pytest.raises(registry.AliasMoved):
        tasks.publish.run(report)


@pytest.mark.parametrize("change", ["bundle", "name"])
def test_a_verdict_on_another_model_publishes_nothing(project, run, change):
    """As after a training run that no gate has judged."""
    assert run()["verdict"] == "PROMOTE"
    if change == "bundle":
        shutil.rmtree(artifacts.BUNDLE)
        worse_bundle(artifacts.BUNDLE)
    else:
        text = Path("params.yaml").read_text()
        Path("params.yaml").write_text(text.replace("name: colours", "name: shapes"))
    with pytest.raises(GraftError, match="verdict on another model"):
        tasks.publish.main()
    assert not Path("registry/models").exists()


def test_a_rejected_model_is_not_published(project, run):
    assert tasks.publish.run(run() | {"verdict": "REJECT"}) == (None, False)
    assert not Path("registry/models").exists()
