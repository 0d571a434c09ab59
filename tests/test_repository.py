import os
from pathlib import Path

import pytest
from test_workspace import git

from tasks import publish, repository


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    git(tmp_path, "init", "--quiet")
    for name in ("code.py", "params.yaml", "data.dvc"):
        (tmp_path / name).write_text("1")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name, is_dirty", [
    ("code.py", True), ("params.yaml", False), ("data.dvc", False), ("new", False)])
def test_a_version_names_its_commit_and_whether_the_code_was_changed(checkout, name, is_dirty):
    (checkout / name).write_text("2")
    found = publish.provenance()
    assert (found["commit"], found["dirty"]) == (git(checkout, "rev-parse", "HEAD"), is_dirty)


def test_where_git_refuses_nothing_is_claimed(checkout, monkeypatch, capsys):
    """A checkout of another owner, as in a container."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = publish.provenance()
    assert (found["commit"], found["dirty"]) == (None, None)
    assert "dubious ownership" in found["git"]
    assert "the version cannot record its commit: `git status" in capsys.readouterr().out


def test_without_git_nothing_is_claimed(checkout, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    found = repository.state([])
    assert found == {"commit": None, "dirty": None, "git": found["git"]} and "not installed" in found["git"]
