"""What git and DVC ignore."""

import pytest

from benchmarks.scratch import Project
from pipeline.code import ROOT

SEEN_BY_DVC = {"/data/?*", "!/data/*.dvc", "!/data/*.decisions.csv", "outputs/", "/.env"}


def patterns(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line.rstrip("/") if line not in SEEN_BY_DVC else line for line in lines if not line.startswith("#")}


def test_git_and_dvc_ignore_the_same_but_for_data_and_outputs():
    assert patterns(".dvcignore") == patterns(".gitignore") - SEEN_BY_DVC


@pytest.mark.parametrize("file", ["dvc_plots/index.html", "dvc_plots/static/plot.png", ".prefect/prefect.db"])
def test_what_tools_leave_behind_is_ignored_by_both(tmp_path, file):
    project = Project(tmp_path)
    before = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert project.run("git", "status", "--porcelain", "--untracked-files=all").stdout == before
    assert project.run("dvc", "check-ignore", file).stdout.strip() == file
