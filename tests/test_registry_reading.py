"""What people look up in a registry: its versions, their reports, a candidate beside them, and what was withdrawn."""

import json
import shutil
from datetime import timedelta
from importlib.metadata import version

import pytest
from registries import bundle, objects

from graft import registry, store
from graft.cli import main as cli
from graft.errors import GraftError
from graft.registry.listing import find_versions
from graft.registry.withdrawal import find_taken_back
from graft.server.reports import list_as_page

FACTS = {"gate": {"verdict": "HOLD", "reasons": ["too few images"]},
         "metrics": {"accuracy": {"value": 0.95, "low": 0.9, "high": 0.98}}}


@pytest.fixture
def graft(tmp_path, monkeypatch, capsys):
    """Run a subcommand where the versions 1 to 3 of `colours` are published: exit code, what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    (tmp_path / "report.html").write_text("<p>good</p>")
    (tmp_path / "data.html").write_text("<p>many</p>")
    pages = {name: tmp_path / name for name in ("data.html", "report.html")}
    for seed in (1, 2, 3):
        registry.publish(bundle(seed), "colours", "registry", facts=FACTS, attachments=pages if seed < 3 else {})
    registry.promote("colours@1")

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err

    return run


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_program_tells_its_version(graft):
    assert graft("--version") == (0, f"graft {version('graft')}\n")


def test_a_list_shows_what_is_in_use_and_what_is_not(graft):
    registry.publish(bundle(4), "shapes", "registry")
    registry.withdraw("colours@2", reason="blurred", by="ann")
    listed = rows(graft("list")[1])
    assert listed[0] == "version published accuracy gate state"
    assert [row.split()[0] for row in listed[1:]] == ["colours@3", "colours@2", "colours@1", "shapes@1"]
    assert listed[2].endswith("95.0% (90.0% to 98.0%) HOLD withdrawn by ann: blurred")
    assert listed[3].endswith("HOLD champion") and listed[4].endswith("– –")
    assert len(rows(graft("list", "shapes")[1])) == 2


def test_a_damaged_model_is_named_and_hides_no_other(graft, tmp_path):
    registry.publish(bundle(4), "shapes", "registry")
    (tmp_path / "registry/models/shapes/versions/000001/manifest.json").write_text("{}")
    listed = rows(graft("list")[1])
    assert [row.split()[0] for row in listed[1:4]] == ["colours@3", "colours@2", "colours@1"]
    assert listed[4].startswith("not listed: shapes: ") and "Not listed: shapes: " in list_as_page(*find_versions())
    assert graft("list", "shapes")[0] == 2


@pytest.mark.parametrize("name", ["a" * 300, "b/" + "a" * 300])
def test_a_model_whose_name_is_too_long_is_one_message(graft, name):
    code, said = graft("predict", "x.png", "--model", name)
    assert code == 2 and said.startswith("error: ")


def test_the_champions_report_is_fetched(graft, tmp_path):
    code, said = graft("report", "colours")
    first, report, data = said.splitlines()
    assert (code, first) == (0, "the reports of colours@1:")
    assert report.endswith("/colours/versions/1/attachments/report.html") and data.endswith("/data.html")
    assert report.strip().startswith("file:///")


def test_the_card_of_a_version_is_pulled_where_hugging_face_looks_and_shown(graft, tmp_path):
    (tmp_path / "card.md").write_text("---\nlicense: mit\n---\n\n# colours\n\nFor \x1b[2Jpaint.\n")
    registry.publish(bundle(5), "colours", "registry",
                     attachments={name: tmp_path / name for name in ("card.md", "report.html")})
    assert graft("pull", "colours@4", "--to", "here", "--attachments")[0] == 0
    assert (tmp_path / "here/README.md").read_bytes() == (tmp_path / "card.md").read_bytes()
    assert graft("history", "colours@4") == (0, "# colours\n\nFor \\x1b[2Jpaint.\n")
    assert graft("report", "colours@4")[1].splitlines()[-1].endswith("/versions/4/README.md")
    code, said = graft("history", "registry/colours@1")
    assert code == 0 and "promote" in said
    assert said.endswith("colours@1 carries no card: it was published without one.\n")


def test_a_pull_of_one_format_brings_no_other(graft, tmp_path):
    folder = shutil.copytree(bundle(5), tmp_path / "both")
    (folder / "model.tflite").write_bytes(b"for phones")
    registry.publish(folder, "colours", "registry")
    fetched = []
    for format in ("litert", "onnx"):
        assert graft("pull", "colours@4", "--format", format, "--to", "here")[0] == 0
        fetched.append({path.name for path in (tmp_path / "here").iterdir()} - {"manifest.json"})
    assert fetched == [{"model.tflite", "model.json", "unknown.npz"}, {"model.onnx", "model.json", "unknown.npz"}]
    assert graft("pull", "colours@4", "--offline", "--to", "here")[0] == 0
    assert {"model.tflite", "model.onnx"} <= {path.name for path in (tmp_path / "here").iterdir()}
    code, said = graft("pull", "colours@4", "--format", "openvino")
    assert (code, said) == (2, "error: colours@4 was not published as openvino. Available formats: onnx, litert.\n")


def test_a_candidate_stands_beside_the_champion(graft, tmp_path):
    candidate = tmp_path / "outputs"
    candidate.mkdir()
    (candidate / "export").symlink_to(bundle(4))
    for name, content in [("evaluate/metrics.json", json.dumps({"accuracy": {"value": 0.97, "low": 0.9, "high": 1}})),
                          ("gate/gate.json", json.dumps({"verdict": "PROMOTE"})),
                          ("split/splits.csv", "path,label,split\n1.png,red,train\n2.png,red,test\n")]:
        (candidate / name).parent.mkdir()
        (candidate / name).write_text(content)
    before = objects("registry")
    told = rows(graft("compare", "colours@champion", "outputs")[1])
    for row in ("colours@1 outputs", "gate HOLD PROMOTE", "red – 1 / 0 / 1",
                "accuracy 95.0% (90.0% to 98.0%) 97.0% (90.0% to 100.0%)", "not recorded for both"):
        assert row in told
    assert any(row.startswith("published") and row.endswith("not yet") for row in told)
    assert objects("registry") == before
    (candidate / "gate/gate.json").write_text("{")
    assert "outputs/gate/gate.json cannot be read" in graft("compare", "colours@champion", "outputs")[1]
    (candidate / "other").symlink_to(bundle(2))
    assert "found outputs/export, outputs/other" in graft("compare", "outputs", "@1")[1]


def test_a_withdrawn_version_is_known_by_its_files_until_a_person_promotes_it(graft):
    assert find_taken_back(bundle(2), "colours") is None
    code, said = graft("withdraw", "colours@2", "--reason", "blurred cameras")
    assert (code, said) == (0, "version 2 is withdrawn (entry 2 of the log): no training run promotes it again\n")
    assert "nothing to do" in graft("withdraw", "colours@2", "--reason", "again")[1]
    assert find_taken_back(bundle(2), "colours").reason == "blurred cameras"
    assert registry.history("colours")[-1].version_of("champion") == 1
    assert rows(graft("history", "colours")[1])[1].split()[3:5] == ["withdraw", "2"]
    assert "champion: version 1, since" in graft("history", "colours", "--at", "2999-01-01")[1]
    assert graft("verify")[0] == 0 and graft("pull", "colours@2")[0] == 0
    said = graft("promote", "colours@2")[1]
    assert "the gate had held this version: too few images" in said
    assert "withdrew this version at" in said and "blurred cameras" in said
    assert find_taken_back(bundle(2), "colours") is None


@pytest.mark.parametrize("reasons", [5, None, ["a\nforged line"]])
def test_a_version_with_facts_of_any_form_is_promoted(graft, reasons):
    registry.publish(bundle(4), "shapes", "registry", facts={"gate": {"verdict": "HOLD", "reasons": reasons}})
    code, said = graft("promote", "shapes@1")
    assert code == 0 and "the gate had held this version" in said and "\nforged" not in said


def test_the_withdrawn_champion_is_rolled_back_and_no_rollback_leads_to_it(graft):
    for number in (2, 3):
        registry.promote(f"colours@{number}")
    registry.withdraw("colours@2", reason="slow")
    code, said = graft("withdraw", "colours@3", "--reason", "bad")
    assert code == 0 and said.startswith("champion now names version 1, before: version 3")
    assert "version 3 is withdrawn" in said
    assert "is the only champion" in graft("rollback", "colours")[1]


def test_a_version_that_another_alias_names_is_not_withdrawn(graft):
    registry.promote("colours@2", alias="stable")
    with pytest.raises(GraftError, match="aliases name it: stable. Move them first: `graft rollback colours --as stab"):
        registry.withdraw("colours@2", reason="bad")


def test_nothing_is_promoted_from_a_model_whose_newest_version_was_withdrawn(graft):
    registry.publish(bundle(4), "shapes", "registry")
    registry.withdraw("shapes@1", reason="bad")
    with pytest.raises(GraftError, match="no alias 'champion'"):
        registry.pull("shapes")


def test_gc_keeps_what_was_withdrawn_so_that_it_is_known_again(graft, monkeypatch):
    registry.withdraw("colours@2", reason="bad")
    real_now = store.LocalStore.now
    monkeypatch.setattr(store.LocalStore, "now", lambda self: real_now(self) + timedelta(days=2))
    swept = registry.gc("registry", keep=1, days=0)
    assert swept.versions == []
    assert find_taken_back(bundle(2), "colours").replaced == 2
