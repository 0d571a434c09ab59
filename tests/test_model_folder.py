"""Several models in one project: what a second one's folder gets, what it shares, and what is refused."""

import difflib
from pathlib import Path

import pytest
from intake_images import write_classes
from ruamel.yaml import YAML

from benchmarks.scratch import Project
from flows import model_folder, preflight, start, workspace
from graft.errors import GraftError
from graft.registry import address
from tasks import code
from tasks.params import read_sections
from tasks.repository import default_registry

OTHER = "models/other"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with two sets of images, whose own model is on the first."""
    Project(tmp_path, **{"data.images": "data/pets", "publish.name": "pets", "split.salt": "mine"})
    for name in ("pets", "fruit"):
        write_classes(tmp_path / f"data/{name}", {"one": 12, "two": 12}, seed=len(name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    return tmp_path


@pytest.fixture
def other(project, monkeypatch) -> Path:
    """The folder of a second model, in which the commands run."""
    start.start("data/fruit", "starter", "other")
    monkeypatch.chdir(project / OTHER)
    return project / OTHER


def test_a_second_model_gets_a_folder_and_a_schedule_and_the_first_stays_as_it_is(project, capsys):
    before = (project / "params.yaml").read_bytes()
    start.start("data/fruit", "starter", "other")
    said = capsys.readouterr().out
    for line in ("saw      24 files in 2 classes in data/fruit: one 12, two 12",
                 "schedule prefect.yaml: retraining of models/other, at the time of the others",
                 "`git add models/other prefect.yaml data/fruit.dvc && git commit`",
                 "next:    cd models/other && python -m flows.training"):
        assert line in said
    assert (project / "params.yaml").read_bytes() == before
    sections = read_sections(project / OTHER / "params.yaml")
    assert (project / OTHER / "params.yaml").read_text().startswith("# yaml-language-server: $schema=../../")
    assert sections["data"]["images"] == "../../data/fruit" and sections["publish"]["name"] == "other"
    assert sections["split"]["salt"] == "mine", "what the project has set holds for its other models, too"
    assert (project / OTHER / "dvc.yaml").read_bytes() == (project / "dvc.yaml").read_bytes()
    deployments = YAML(typ="safe").load(project / "prefect.yaml")["deployments"]
    [schedules] = [each["schedules"] for each in deployments if each["name"] == "retraining"]
    assert [each.get("parameters") for each in schedules] == [None, {"folder": OTHER}]
    assert len({each["slug"] for each in schedules}) == len({each["cron"] for each in schedules}) + 1 == 2


def test_again_changes_nothing_and_comments_stay(other, project, monkeypatch, capsys):
    files = {path: path.read_bytes() for path in (*other.glob("*.yaml"), project / "prefect.yaml")}
    assert len(files) == 3
    start.start("../../data/fruit")
    assert "kept     params.yaml: it is set up for this folder" in capsys.readouterr().out
    monkeypatch.chdir(project)
    start.start("data/fruit", model="other")
    assert "kept     models/other/params.yaml: it is set up for this folder" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in files} == files
    before, after = (Path(folder, "prefect.yaml").read_text().splitlines()
                     for folder in (Path(preflight.__file__).parent.parent, project))
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert changed[0] == "+       - slug: other" and [line[0] for line in changed] == ["+"] * 5


def test_it_may_differ_from_the_first_in_params_alone(other, project, monkeypatch):
    preflight.check()
    assert default_registry() == "../../registry", "all models share one"
    assert address.default_registry() == "registry"
    (project / "registry").mkdir()
    assert address.default_registry() == "../../registry", "the command graft finds it, too"
    assert workspace.tracked_images() == ["../../data/fruit.dvc"]
    (other / "dvc.yaml").write_text((other / "dvc.yaml").read_text() + "\n")
    params = other / "params.yaml"
    params.write_text(params.read_text().replace("name: other ", "name: pets "))
    with pytest.raises(GraftError) as caught:
        preflight.check()
    assert f"all models have one graph. Copy it: `cp {project}/dvc.yaml {other}`." in str(caught.value)
    assert f"publish.name: {project}/params.yaml publishes another model as 'pets'" in str(caught.value)
    monkeypatch.setattr(code, "ROOT", Path("/elsewhere"))
    with pytest.raises(GraftError, match="runs the code of /elsewhere, which is another checkout"):
        code.check_folder()


def test_a_mistake_leaves_no_folder_behind(project):
    for folder, name in (("data/nothing", "other"), ("data/fruit", "../other"), ("data/fruit", "pets")):
        with pytest.raises(GraftError):
            start.start(folder, "starter", name)
        assert not list(project.glob("models/*")) and "folder: models/o" not in (project / "prefect.yaml").read_text()
    assert not list(project.glob("data/*.dvc"))


def test_a_run_is_of_a_models_folder_with_the_data_of_that_model(project):
    (project / OTHER).mkdir(parents=True)
    (project / OTHER / "params.yaml").write_text("data: {images: ../../data/fruit}")
    for file in ("fruit.dvc", "pets.dvc", "pets/one.dvc"):
        (project / "data" / file).write_text("outs: []\n")
    for folder in ("models/others", "../elsewhere", "/", "flows"):
        with pytest.raises(GraftError, match=f"folder: '{folder}' has no params.yaml"), model_folder.entered(folder):
            pass
    with model_folder.entered(OTHER):
        assert Path.cwd() == project / OTHER
        assert workspace.tracked_images() == ["../../data/fruit.dvc"]
    assert workspace.tracked_images() == ["data/pets/one.dvc", "data/pets.dvc"]
    (project / "data").rename(project / "photos")       # `flows.start` takes any folder of the project
    (project / "params.yaml").write_text("data: {images: photos/pets}")
    assert workspace.tracked_images() == ["photos/pets/one.dvc", "photos/pets.dvc"]


@pytest.mark.parametrize("deployments, added", [
    ("[{name: retraining}]", None),
    ("[{name: retraining, schedules: [{slug: mine, interval: 3600}]}]", {"interval": 3600})])
def test_without_a_schedule_or_with_another_kind_a_second_model_has_the_same(project, deployments, added):
    (project / "prefect.yaml").write_text(f"deployments: {deployments}\n")
    start.start("data/fruit", "starter", "other")
    found = YAML(typ="safe").load(project / "prefect.yaml")["deployments"]
    wanted = [{"slug": "other", "parameters": {"folder": OTHER}} | added] if added else []
    assert [each for one in found for each in one.get("schedules", []) if each["slug"] != "mine"] == wanted
