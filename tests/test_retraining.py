"""What starts the deployment `retraining` besides the clock, by a real server and worker: new data, and drift."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from test_workspace import git
from watched import draw, log, publish

from benchmarks.scratch import Project, write_some_digits

LOOK = """
import sys
from flows import new_data
keep = new_data._keep
def lost(what, contents):
    if what == new_data.TRAINED:
        raise RuntimeError("killed")
    return keep(what, contents)
for line in sys.stdin:
    minutes, *is_killed = line.split()
    new_data._keep = lost if is_killed else keep
    state = new_data.look(branch="main", quiet_minutes=float(minutes), return_state=True)
    print("state", state.name, "|", " ".join(state.message.split()) if state.message else "", flush=True)
"""


@pytest.fixture(scope="module")
def server(own_prefect_server):
    own_prefect_server.create_pool("default")
    return own_prefect_server


@pytest.fixture(scope="module")
def deployed(server, tmp_path_factory) -> Project:
    """A project whose images were imported from the folder `source`; its branch `main` is deployed."""
    folder = tmp_path_factory.mktemp("retraining")
    write_some_digits(folder / "source", "23", images=3, size_px=32)
    project = Project(folder / "project", **{"data.images": "data/pets", "publish.name": "colours"})
    project.run("git", "checkout", "--quiet", "-b", "main")
    (project.folder / "data").mkdir(exist_ok=True)
    project.run("dvc", "import-url", "--quiet", str(folder / "source"), "data/pets")
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message", "Begin")
    server.prefect(project.folder, "deploy", "--all")
    return project


class Looker:
    """A process that looks for new data in a clone of its own, as a deployed run does, whenever it is asked."""

    def __init__(self, project: Project, server, clone):
        git(clone.parent, "clone", "--quiet", str(project.folder), str(clone))
        environment = project.environment(**server.environment) | {"PYTHONPATH": str(clone)}
        self.process = subprocess.Popen([sys.executable, "-c", LOOK], cwd=clone, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, quiet_minutes: float | str) -> None:
        self.process.stdin.write(f"{quiet_minutes}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """The state's name and message."""
        return next(line for line in self.process.stdout if line.startswith("state ")).removeprefix("state ").strip()

    def look(self, quiet_minutes: float | str) -> str:
        self.ask(quiet_minutes)
        return self.answer()


@pytest.fixture(scope="module")
def lookers(deployed, server, tmp_path_factory):
    """Two lookers."""
    two = [Looker(deployed, server, tmp_path_factory.mktemp("looker") / "graft") for _ in range(2)]
    yield two
    for each in two:
        each.process.communicate()


def started(server, tag: str) -> list[dict]:
    """The runs of `training/retraining` with a tag, the oldest first."""
    identity = server.ask("deployments/name/training/retraining")["id"]
    wanted = {"deployments": {"id": {"any_": [identity]}}, "flow_runs": {"tags": {"all_": [tag]}}}
    return server.ask("flow_runs/filter", wanted | {"sort": "EXPECTED_START_TIME_ASC"})


def test_new_data_start_one_run_once_they_are_quiet(deployed, lookers, server):
    source, [one, other] = deployed.folder.parent / "source", lookers
    assert one.look(15) == "Nothing new |"
    for number in range(2):
        shutil.copy(next((source / "3").iterdir()), source / "2" / f"{number}.png")
    waiting = one.look(15)
    assert waiting == f"Waiting | 2 files added in {source}/2. A run starts once nothing has changed for 0:15:00."
    assert started(server, "new data") == []
    for each in lookers:                        # two triggers at once
        each.ask(0)
    assert {each.answer().split()[0] for each in lookers} <= {"Started", "Nothing"}
    [run] = started(server, "new data")
    assert run["parameters"] == {"refresh": True, "publish": True, "folder": ".",
                                 "data_commit": git(deployed.folder, "rev-parse", "HEAD"),
                                 "reason": f"new data: 2 files added in {source}/2"}
    assert run["name"] == "colours: new data" and set(run["tags"]) == {"colours", "new data"}
    assert other.look(0) == "Nothing new |"


def test_decisions_of_the_branch_start_a_run_though_nothing_is_deployed_anew(deployed, lookers, server):
    rows = "".join(f"{digit * 64},2/{digit}.png,keep,,,\n" for digit in "abc")
    (deployed.folder / "data/pets.decisions.csv").write_text(f"sha256,path,decision,reason,by,at\n{rows}")
    assert lookers[0].look(0) == "Nothing new |"        # not committed
    git(deployed.folder, "add", "data")
    git(deployed.folder, "commit", "--quiet", "--message", "Decide")
    assert lookers[0].look("0 killed").startswith("Failed |")           # after it had started the run
    assert len(started(server, "new data")) == 2
    assert lookers[1].look(0).endswith(": 3 decisions added in data/pets.decisions.csv")
    assert len(started(server, "new data")) == 2


def test_a_source_or_branch_that_cannot_be_reached_is_named_and_starts_nothing(deployed, lookers, server):
    source, branch = deployed.folder.parent / "source", deployed.folder / ".git/refs/heads/main"
    source.rename(source.with_name("gone"))
    said = lookers[0].look(0)
    assert said.startswith(f"Unreachable | {source} cannot be listed: FileNotFoundError") and "`dvc update`" in said
    source.with_name("gone").rename(source)
    branch.rename(branch.with_name("other"))
    assert "has no 'main' any more. Push the branch, or deploy again." in lookers[0].look(0)
    branch.with_name("other").rename(branch)
    assert lookers[0].look(0) == "Nothing new |"


def test_a_drift_starts_a_run_and_each_run_says_on_its_page_why_it_was_started(deployed, lookers, server, tmp_path,
                                                                              monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    classifier = publish(tmp_path, str(tmp_path / "registry"))
    log(tmp_path / "log", classifier.predict_batch(draw(600, seed=3, shift=(60, 0, 0))[0]), classifier,
        ended=datetime.now(UTC))
    environment = {f"GRAFT_{name.upper()}": str(tmp_path / name) for name in ("home", "registry", "shared")}
    with server.worker("default", **environment):
        looked, watched = server.start("new-data/looking"), server.start("watch/watching", retrain=True,
                                                                         place=str(tmp_path / "log"))
        assert [server.wait_for_end(run)["state_name"] for run in (looked, watched)] == ["Nothing new", "Drifted"]
        [drift], [data, _] = started(server, "drift"), started(server, "new data")
        assert drift["parameters"]["reason"].startswith("drift: colours@1: ") and drift["parameters"]["refresh"] is True
        for run in (drift, data):
            assert server.wait_for_end(run["id"])["state_type"] == "FAILED"     # six images are too few to train on
            reason = server.artifacts(run["id"])["colours-reason"]["data"].replace("\\", "")
            assert run["parameters"]["reason"] in reason
