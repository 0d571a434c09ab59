"""Mistakes that a user can make before anything runs: each told in one message, all at once, without a traceback."""

import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fresh
import pytest

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


def test_an_unpacked_archive_is_no_repository(project):
    shutil.rmtree(project.folder / ".git")
    with pytest.raises(GraftError, match="not in a git repository, which DVC needs"):
        preflight.check()
