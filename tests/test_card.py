"""The model card against the figures that it is made of."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from test_evaluate import PARAMS, make_project

from graft.errors import GraftError
from tasks import artifacts, card, evaluate

CARD = "card:\n  intended_use: To sort <b>paint</b>.\n  out_of_scope: ''\n  licence: mit\n  data_licence: CC0\n"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("card"), images=40, sharpness=20)
    (folder / "params.yaml").write_text(PARAMS + CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        evaluate.main()
    return folder


@pytest.fixture
def written(evaluated, monkeypatch, capsys) -> str:
    monkeypatch.chdir(evaluated)
    card.main()
    assert capsys.readouterr().out.strip() == str(artifacts.CARD)
    return artifacts.CARD.read_text()


def test_the_front_matter_holds_the_metrics_with_their_intervals(written):
    head, front, body = written.split("---\n", 2)
    content, metrics = YAML(typ="safe").load(front), json.loads(artifacts.METRICS.read_text())
    assert head == "" and (content["library_name"], content["license"]) == ("graft", "mit")
    [model] = content["model-index"]
    [result] = model["results"]
    assert (model["name"], result["task"], result["dataset"]["name"]) == (
        "colours", {"type": "image-classification"}, "colours")
    found = {each["type"]: {"value": each["value"], **each["args"]} for each in result["metrics"]}
    assert found == {name: metric | {"confidence": 0.95} for name, metric in metrics.items()
                     if name != "held_out_accuracy"}
    assert body.startswith("\n# colours\n")


def test_the_text_says_where_it_fails_and_what_people_wrote(written):
    predictions = artifacts.read_table(artifacts.PREDICTIONS, {"path": str, "label": str, "predicted": str,
                                                               "p:blue": float, "p:green": float, "p:red": float})
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    assert len(wrong) > 1
    surest = wrong.loc[wrong[["p:blue", "p:green", "p:red"]].max(axis=1).idxmax()]
    shown = [line for line in written.splitlines() if line.startswith("| ") and ".png" in line]
    assert shown[0].startswith(f"| {surest['path']} | {surest['label']} | {surest['predicted']} | ")
    assert "To sort \\<b\\>paint\\</b\\>." in written and "**Not to be used for:** not stated" in written
    for line in ("| this model | mit |", "| the images that it was trained on | CC0 |",
                 "| the weights that the training began with | not stated |"):
        assert line in written.splitlines()
    for row in artifacts.read_json(artifacts.VERDICT):
        assert f"- **{row['question']}** " in written
    classes = artifacts.read_table(artifacts.CLASSES, artifacts.CLASS_COLUMNS)
    for row in classes.itertuples():
        assert f"| {row[1]} | 10 | 10 | 20 | {row.recall:.1%} (" in written


def test_the_same_figures_give_the_same_bytes(written):
    card.main()
    assert artifacts.CARD.read_text() == written


def test_without_words_it_claims_no_licence(evaluated, monkeypatch):
    monkeypatch.chdir(evaluated)
    params = Path("params.yaml")
    before = params.read_text()
    params.write_text(before.replace("licence: mit", "licence: ''"))
    card.main()
    assert "license: other\nlicense_name: not-stated\n" in artifacts.CARD.read_text()
    params.write_text(before.replace("licence: mit", "licence: My Own"))
    with pytest.raises(GraftError, match="card.licence: expected .*received 'My Own'"):
        card.main()
    params.write_text(before)
