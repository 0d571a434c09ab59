"""Mistakes that a user can make before anything runs: each told in one message, all at once, without a traceback."""

import importlib
import os
import shutil
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fresh
import pytest
from intake_images import write_classes

import flows
from benchmarks.scratch import Project
from flows import preflight  # before prefect, which reads its settings when it is imported
from graft.errors import GraftError

from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings  # isort: skip


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return project


def test_the_project_as_shipped_is_sound(project):
    preflight.check()


def test_everything_that_is_wrong_is_told_at_once(project):
    project.change({"finetune.learning_rat": 0.1, "split.val_share": 0.9, "transfer.optimizer": "sdg",
                    "exprot": {}, "data.images": "data/nowhere"})
    with pytest.raises(GraftError) as caught:
        preflight.check()
    for part in ("section 'exprot' is unknown. Did you mean 'export'?", "finetune.learning_rat: unknown parameter",
                 "Did you mean 'learning_rate'?", "split.val_share", "received 0.9",
                 "expected 'rmsprop', 'adam' or 'sgd'", "data.images: the folder 'data/nowhere' does not exist"):
        assert part in str(caught.value)


@pytest.mark.parametrize("images, message", [
    ("dvc.yaml", "params.yaml: data.images: 'dvc.yaml' is a file. Expected a folder of class folders."),
    ("s3://", "the address 's3://' of the images names no bucket. Expected s3://bucket/prefix.")])
def test_images_that_are_no_folder_are_refused(project, images, message):
    project.change({"data.images": images})
    with pytest.raises(GraftError) as caught:
        preflight.check()
    assert str(caught.value) == message


def test_a_flow_with_a_mistake_ends_at_once_without_a_traceback(project):
    project.change({"data.images": "data/nowhere"})
    done = project.run("python", "-m", "flows.training", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml: data.images: the folder 'data/nowhere' does not exist.")
    assert "Traceback" not in done.stdout + done.stderr
    assert not (project.folder / "outputs").exists()


class Stranger(BaseHTTPRequestHandler):
    """A server of another kind, which answers everything with the status in the address and a page."""

    def do_GET(self):
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("status, reason", [(200, "not as Prefect does"), (404, "404 Not Found"), (502, "502 Bad")])
def test_a_server_of_another_kind_is_one_message(status, reason):
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{status}"
        with temporary_settings({PREFECT_API_URL: address}), pytest.raises(GraftError) as caught:
            preflight.check_server()
        server.shutdown()
    assert str(caught.value).startswith(f"no Prefect server answers at {address}") and reason in str(caught.value)


def test_a_prefect_home_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").touch()
    with (temporary_settings({PREFECT_HOME: tmp_path / "file"}, restore_defaults={PREFECT_API_URL}),
          pytest.raises(GraftError, match="file: File exists. Prefect keeps its database there. Set PREFECT_HOME")):
        preflight.check_server()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_home_folder_has_one_in_the_project():
    program = """
import contextlib, os, pathlib
del os.environ["HOME"]
os.setuid(54321)
import flows
print(os.environ["HOME"])
"""
    assert fresh.run(program) == f"{Path.cwd()}/.graft/user\n"


def test_data_that_dvc_tracks_need_not_be_there_yet(project):
    (project.folder / "data").mkdir()
    (project.folder / "data/pets.dvc").write_text("outs: []\n")
    project.change({"data.images": "data/pets"})
    preflight.check()
    assert preflight.imported_data() == []
    (project.folder / "data/pets.dvc").write_text("deps: []\nouts: []\n")
    assert preflight.imported_data() == ["data/pets.dvc"]


def test_an_import_that_an_experiment_has_touched_is_named(project):
    """`dvc exp run` writes the source's new hash to a frozen import and fetches nothing; `dvc update` then skips it."""
    (project.folder / "data").mkdir()
    project.change({"data.images": "data/my pets"})
    file = project.folder / "data/my pets.dvc"
    file.write_text("frozen: true\ndeps:\n- md5: '1'\n  path: s3://bucket\nouts:\n- md5: '1'\n  path: my pets\n")
    project.run("git", "add", "data/my pets.dvc")
    project.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "import")
    assert preflight.imported_data() == ["data/my pets.dvc"]
    file.write_text(file.read_text().replace("deps:\n- md5: '1'", "deps:\n- md5: '2'"))
    with pytest.raises(GraftError, match="`dvc exp run` has recorded .* Run `git checkout 'data/my pets.dvc'` first"):
        preflight.imported_data()
    file.write_text(file.read_text().replace("outs:\n- md5: '1'", "outs:\n- md5: '2'"))     # as `dvc update` does
    assert preflight.imported_data() == ["data/my pets.dvc"]


def test_a_stage_that_somebody_adds_is_known(project):
    (project.folder / "tasks/mine.py").write_text(
        "from tasks.params import params\n\n\n@params\nclass MineParams:\n    size: int\n")
    dvc, params = project.folder / "dvc.yaml", project.folder / "params.yaml"
    stage = "\n  mine:\n    cmd: python -m tasks.mine\n    params: [mine]\n"
    dvc.write_text(dvc.read_text().replace("\nplots:", f"{stage}plots:"))
    params.write_text(params.read_text() + "\nmine:\n  size: 1\n")
    assert "Traceback" not in project.run("python", "-m", "flows.preflight").stderr
    params.write_text(params.read_text().replace("  size: 1\n", "  siz: 1\n"))
    assert "mine.siz: unknown parameter. Did you mean 'size'?" in project.run("python", "-m", "flows.preflight",
                                                                              check=False).stderr


def test_a_folder_without_its_repositories_says_which_to_make(project):
    dvc = project.folder / ".dvc"
    dvc.rename(project.folder / "dvc")
    with pytest.raises(GraftError, match="is not in a DVC repository, which .*: `dvc init && git add . && git commit"):
        preflight.check()
    shutil.rmtree(project.folder / ".git")
    with pytest.raises(GraftError, match="a git repository and a DVC repository, .*`git init && dvc init && git add"):
        preflight.check()
    (project.folder / "dvc").rename(dvc)
    with pytest.raises(GraftError, match="is not in a git repository, which .*: `git init && git add . && git commit"):
        preflight.check()


def test_what_dvc_cannot_hash_is_told_at_once_with_what_is_wrong_with_the_classes(project):
    """Each of these ends a run of DVC with a message about one file, or makes it wait for ever."""
    project.change({"data.images": "data/pets"})
    images = project.folder / "data/pets"
    for folder in ("train/cat", "train/dog", "test/cat", ".hidden", ".git"):
        (images / folder).mkdir(parents=True)
        (images / folder / "1.jpg").write_bytes(b"x")
    (images / ".hidden/gone").symlink_to("nowhere")
    (images / ".git/gone").symlink_to("nowhere")        # DVC does not look there
    (images / "train/cat/gone.jpg").symlink_to("nowhere.jpg")
    (images / "train/cat/loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(images / "test/cat/pipe")
    (images / "train/.dvcignore").write_text("")
    (images / os.fsdecode(b"train/dog/\xff.jpg")).write_bytes(b"x")
    with pytest.raises(GraftError) as caught:
        preflight.check()
    for part in ("params.yaml: data.images: DVC cannot hash all of 'data/pets', because it contains",
                 "links to files that do not exist: .hidden/gone, train/cat/gone.jpg; restore the files",
                 "links that lead back to themselves: train/cat/loop.jpg; ",
                 "pipes, sockets or devices, for which DVC would wait: test/cat/pipe; ",
                 "names that are not UTF-8: train/dog/\\udcff.jpg; rename", ".dvcignore files",
                 "params.yaml: validate.split_folders: 'data/pets' contains the folders test, train"):
        assert part in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_this_user_may_not_read_is_told_before_dvc_reads_it(project):
    project.change({"data.images": "data/pets"})
    write_classes(project.folder / "data/pets", {"cat": 1, "dog": 1})
    (project.folder / "data/pets/cat/0.jpg").chmod(0)
    (project.folder / "data/pets/dog").chmod(0)
    with pytest.raises(GraftError) as caught:
        preflight.check()
    (project.folder / "data/pets/dog").chmod(0o700)
    for part in ("files that this user may not read: cat/0.jpg; ", "folders that this user may not open: dog; "):
        assert part in str(caught.value)


def test_dvc_cannot_hash_a_link_to_a_missing_file_and_waits_for_no_ignored_folder(tmp_path, monkeypatch):
    """What the tests above rely on, asked of the installed DVC."""
    from dvc.repo import Repo

    (tmp_path / "images/.git").mkdir(parents=True)
    (tmp_path / "images/1.jpg").write_bytes(b"x")
    (tmp_path / "images/.git/gone").symlink_to("nowhere")
    (tmp_path / "dvc.yaml").write_text("stages: {images: {cmd: 'true', deps: [images]}}")
    monkeypatch.chdir(tmp_path)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        assert repo.reproduce()
        (tmp_path / "images/gone.jpg").symlink_to("nowhere")
        with pytest.raises(Exception, match="failed to reproduce"):
            repo.reproduce()


@pytest.mark.parametrize("graph, said", [
    (None, "dvc.yaml cannot be read: No such file or directory. Run this in the project folder."),
    ("<<<<<<< HEAD\nstages: {}\n=======\n", "dvc.yaml is not valid YAML"),
    ("stages:\n  split: {cmd: x, params: [split]}\n  spilt: {cmd: x, params: [spilt]}\n",
     "dvc.yaml: stage 'spilt' has no module tasks/spilt.py. Did you mean 'split'?")])
def test_a_graph_that_is_missing_or_of_another_version_is_one_message(project, graph, said):
    (project.folder / "dvc.yaml").unlink() if graph is None else (project.folder / "dvc.yaml").write_text(graph)
    with pytest.raises(GraftError) as caught:
        preflight.check()
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("direct", ["internal.example", "*"])
def test_hosts_that_the_user_reaches_without_a_proxy_stay_so(monkeypatch, name, direct):
    """Python heeds the name in capitals only where the other is not set."""
    for each in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, direct)
    importlib.reload(flows)
    assert urllib.request.proxy_bypass("internal.example") and urllib.request.proxy_bypass("localhost")
