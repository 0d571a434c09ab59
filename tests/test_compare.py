import json

import pytest
from tiny_bundle import make_bundle

from graft import registry
from graft.cli import main as cli
from graft.errors import GraftError
from graft.registry.compare import compare, read_manifest

FACTS = {
    "commit": "0123456789abcdef", "gate": {"verdict": "PROMOTE"},
    "data": {"images": {"red": {"train": 70, "test": 15}}},
    "backbone": {"licence": {"name": "MIT", "source": "https://example.org"}},
    "params": {"finetune": {"epochs": 10, "learning_rate": 0.01}, "split": {"salt": "graft"}},
    "metrics": {"accuracy": {"value": 0.95, "low": 0.93, "high": 0.97, "images": 400},
                "log_loss": {"value": 0.1234, "low": 0.1, "high": 0.2, "images": 400}},
}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two versions of `colours`, the first one promoted; the second knows no red and was trained faster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    registry.publish(make_bundle("one"), "colours", "registry", facts=FACTS)
    registry.promote("colours@1")
    other = json.loads(json.dumps(FACTS))
    other["params"]["finetune"]["learning_rate"] = 0.001
    other["metrics"]["accuracy"] = {"value": 0.9, "low": 0.88, "high": 0.92, "images": 400}
    registry.publish(make_bundle("two", class_names=("blue", "green")), "colours", "registry", facts=other)


def rows(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_two_versions_stand_side_by_side(published, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", "colours@champion", "@2"])
    assert not ended.value.code
    told = rows(capsys.readouterr().out)
    for row in ("colours@1 colours@2", "count 3 2", "lost red", "finetune.learning_rate 0.01 0.001",
                "train / val / test 70 / 0 / 15 70 / 0 / 15", "red 70 / 0 / 15 70 / 0 / 15",
                "accuracy 95.0% (93.0% to 97.0%) 90.0% (88.0% to 92.0%)",
                "log_loss 0.123 (0.1 to 0.2) 0.123 (0.1 to 0.2)", "gate PROMOTE PROMOTE",
                "licence of the backbone MIT MIT"):
        assert row in told
    assert not [row for row in told if row.startswith(("finetune.epochs", "gained"))], "what is alike is left out"


def test_the_name_alone_stands_for_the_other_side(published, tmp_path, capsys):
    (tmp_path / "registry").rename(tmp_path / "me@host")
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", "./me@host/colours@1", "@2"])
    assert not ended.value.code and "colours@1 colours@2" in rows(capsys.readouterr().out)


def test_columns_are_aligned(published):
    lines = compare(read_manifest("colours@1"), read_manifest("colours@2")).splitlines()
    starts = {line.index("colours@2") for line in lines if "colours@2" in line} | {
        line.index("90.0%") for line in lines if "90.0%" in line}
    assert len(starts) == 1


def test_a_version_without_facts_is_no_error(published, tmp_path):
    registry.publish(make_bundle("three", sharpness=3), "colours", "registry")
    told = rows(compare(read_manifest("colours@3"), read_manifest("colours@1")))
    assert "accuracy – 95.0% (93.0% to 97.0%)" in told and "commit – 0123456789ab" in told


@pytest.mark.parametrize("metrics", ["text", {"accuracy": 0.9}, {"accuracy": {"value": "high"}}, None])
def test_facts_of_another_form_are_left_out(published, metrics):
    facts = {"metrics": metrics, "gate": "good", "backbone": {"licence": "mine"}}
    registry.publish(make_bundle("three", sharpness=3), "colours", "registry", facts=facts)
    assert "metrics\n  none" in compare(read_manifest("colours@3"), read_manifest("colours@3"))


def test_a_version_that_is_not_there_is_said(published):
    with pytest.raises(GraftError, match="has no version 7"):
        read_manifest("colours@7")
