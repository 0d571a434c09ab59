"""Which commit a deployed run clones from where, and what its clone shares with others."""

import os
import subprocess
from pathlib import Path

import pytest

from flows import sources, workspace
from flows.dvc import Dvc
from graft.errors import GraftError
from pipeline.code import ROOT


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository with one commit, which its remote `origin` has."""
    folder, remote = tmp_path / "checkout", tmp_path / "remote.git"
    folder.mkdir()
    git(tmp_path, "init", "--quiet", "--bare", str(remote))
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "--quiet", "--message", "one")
    git(folder, "remote", "add", "origin", str(remote))
    git(folder, "push", "--quiet", "--set-upstream", "origin", "main")
    monkeypatch.chdir(folder)
    return folder


def test_a_commit_that_the_remote_has_is_cloned_from_there(checkout, capsys):
    assert workspace.source() == {"repository": str(checkout.parent / "remote.git"), "branch": "main",
                                  "commit": git(checkout, "rev-parse", "HEAD")}
    assert capsys.readouterr().out == ""


def test_a_commit_that_no_remote_has_is_cloned_from_this_folder_and_that_is_said(checkout, capsys):
    (checkout / "file").write_text("2")
    git(checkout, "commit", "--quiet", "--all", "--message", "two")
    (checkout / "file").write_text("3")
    assert workspace.source() == {"repository": str(checkout), "branch": "main",
                                  "commit": git(checkout, "rev-parse", "HEAD")}
    said = capsys.readouterr().out
    assert "uncommitted changes are not deployed" in said
    assert "no remote has commit" in said and "only for a worker on this machine" in said


def test_a_password_stays_out_of_the_deployment(checkout):
    git(checkout, "remote", "set-url", "origin", "https://me:secret@git.example.org/graft.git")
    assert workspace.source()["repository"] == "https://git.example.org/graft.git"
    git(checkout, "remote", "set-url", "origin", "git@git.example.org:me/graft.git")
    assert workspace.source()["repository"] == "git@git.example.org:me/graft.git"


def test_without_a_commit_there_is_nothing_to_deploy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError, match="there is no commit to deploy"):
        workspace.source()


def test_the_shared_folder_is_named_or_the_checkout_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAFT_SHARED", raising=False)
    assert workspace.shared_folder() == ROOT
    monkeypatch.setenv("GRAFT_SHARED", str(tmp_path))
    assert workspace.shared_folder() == tmp_path


@pytest.fixture
def clone(checkout, tmp_path, monkeypatch) -> Path:
    """A clone with tracked data, whose bytes only the checkout's cache has; where a deployed run would stand."""
    with Dvc() as dvc:
        dvc.run("init", "--quiet", on_line=lambda line: None)
        (checkout / "data/pets").mkdir(parents=True)
        (checkout / "data/pets/one.txt").write_text("a cat")
        (checkout / "params.yaml").write_text("data: {images: data/pets}\n")
        (checkout / "dvc.yaml").write_text("stages:\n  fit: {cmd: 'true', meta: {gpu: true}}\n  score: {cmd: 'true'}\n")
        dvc.run("add", "data/pets", on_line=lambda line: None)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "data")
    git(tmp_path, "clone", "--quiet", str(checkout), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("GRAFT_SHARED", str(checkout))
    monkeypatch.setenv("GRAFT_REGISTRY", "registry")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a-deployment")      # as Prefect's guide has it for tests
    return tmp_path / "clone"


def test_a_clone_has_the_data_and_shares_what_is_named_by_its_content(clone, checkout):
    with Dvc() as dvc:
        workspace.prepare(dvc)
        workspace.prepare(dvc)          # a second time changes nothing
        dvc.run("status", on_line=lambda line: None)
        assert workspace.changed_images(dvc) == []
        (clone / "data/pets/two.txt").write_text("a dog")
        assert workspace.changed_images(dvc) == ["data/pets"]
        (clone / "data/pets/two.txt").unlink()
    assert (clone / "data/pets/one.txt").read_text() == "a cat"
    assert os.environ["GRAFT_REGISTRY"] == str(checkout / "registry")
    assert sorted(path.name for path in (clone / ".graft").iterdir()) == ["activations", "fit"]
    for name in ("activations", "fit"):
        assert (clone / ".graft" / name).resolve() == checkout / ".graft" / name
    assert git(clone, "status", "--porcelain", "--untracked-files=no") == ""
    assert not (checkout / ".dvc/config.local").exists()


def test_a_clone_takes_the_data_files_of_a_newer_commit_and_nothing_else(clone, checkout):
    for name in ("pets.decisions.csv", "gone.decisions.csv"):
        (checkout / "data" / name).write_text("of the first commit")
    git(checkout, "add", "--force", "data")
    git(checkout, "commit", "--quiet", "--message", "first")
    git(clone, "pull", "--quiet")
    (checkout / "data/pets.decisions.csv").write_text("of the second commit")
    (checkout / "data/gone.decisions.csv").unlink()
    (checkout / "params.yaml").write_text("data: {images: data/other}\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "second")
    assert workspace.take_data("main") == git(checkout, "rev-parse", "HEAD") != git(clone, "rev-parse", "HEAD")
    assert (clone / "data/pets.decisions.csv").read_text() == "of the second commit"
    assert not (clone / "data/gone.decisions.csv").exists() and (clone / "data/pets.dvc").exists()
    assert "data/pets" in (clone / "params.yaml").read_text()
    with pytest.raises(GraftError, match="has no 'nowhere' any more"):
        workspace.take_data("nowhere")


def test_a_registry_in_the_home_folder_is_not_in_the_clone(clone, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRAFT_REGISTRY", "~/models")
    with Dvc() as dvc:
        workspace.prepare(dvc)
    assert os.environ["GRAFT_REGISTRY"] == str(tmp_path / "models")


def test_data_that_are_nowhere_are_told_with_what_to_do(clone, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_SHARED", str(tmp_path / "empty"))
    with Dvc() as dvc, pytest.raises(GraftError, match=r"data/pets\.dvc: .*Run `dvc push` on the machine with them"):
        workspace.prepare(dvc)


def test_a_run_by_hand_works_where_it_stands(clone, monkeypatch):
    monkeypatch.delenv("PREFECT__RUNTIME__DEPLOYMENT__ID")
    with Dvc() as dvc, pytest.raises(GraftError):       # it shares no cache, so that the data are nowhere
        workspace.prepare(dvc)
    assert os.environ["GRAFT_REGISTRY"] == "registry"
    assert not (clone / ".graft").exists()


def test_an_import_whose_source_is_empty_looks_the_same_after_it_was_kept(clone, tmp_path):
    """Else what was seen would always differ from what is there, and a look would wait for ever."""
    (clone / "params.yaml").write_text("data: {images: data/more}\n")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/one.txt").write_text("a dog")
    with Dvc() as dvc:
        dvc.run("import-url", str(tmp_path / "source"), "data/more", on_line=lambda line: None)
        (tmp_path / "source/one.txt").unlink()
        found = sources.imported(dvc)
    assert sources.contents_of(sources.rows(found)) == found
