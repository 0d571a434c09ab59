"""The Makefile: its help, the files it names, and what `make setup` says where it cannot work."""

import re

import pytest

from benchmarks.scratch import Project
from pipeline.code import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def outside_of_make(monkeypatch):
    """These tests themselves run below `make test`, whose settings a make inside would take over."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A copy without .venv."""
    return Project(tmp_path_factory.mktemp("make"))


def test_help_lists_every_target(project):
    [phony] = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.M)
    listed = [line.split()[0] for line in project.run("make", "help").stdout.splitlines()]
    assert sorted(listed) == sorted(phony.split())


def test_each_test_file_of_jax_exists(project):
    named = re.findall(r"tests/test_\w+\.py", project.run("make", "--dry-run", "test-jax").stdout)
    assert len(named) >= 12
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_setup_without_python_says_what_to_do(project):
    done = project.run("make", "setup", "PYTHON=python9", check=False)
    assert done.stdout == ""
    assert done.stderr.startswith("error: Graft needs Python 3.11, 3.12 or 3.13, and there is no command python9. ")
