"""Every command in the README runs: here on the small project, or in the test that is named."""

import re
import shlex

import pytest
from imports import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {kind: re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("sh", "python")}
COMMANDS = [line for block in BLOCKS["sh"] for line in block.splitlines() if line]
ELSEWHERE = {
    "make demo": "needs minutes; its target is checked below",
    "make test": "is what runs now",
    "source .venv/bin/activate": "every command here has that folder on its path",
    "python -m flows.training": "test_end_to_end.py",
    "prefect server start": "test_deployments.py",
    "prefect worker start --pool default --type process": "test_infra_services.py",
    "prefect deploy --all": "test_deployments.py",
    "prefect deployment run training/training": "test_deployments.py",
    "prefect deployment ls": "test_deployments.py",
    "python -m flows.automations": "test_automations.py",
}


def on_the_small_project(text: str) -> str:
    """The same with that project's model and images."""
    return text.replace("digits", "tiny").replace("data/sample/3/0003.png", "data/tiny/4/0004.png").replace(
        "data/sample/7", "data/tiny/7")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in ELSEWHERE])
def test_a_command_runs(project, command):
    done = project.run(*shlex.split(on_the_small_project(command)), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_python_example_runs(project):
    [program] = BLOCKS["python"]
    label, probability, is_unknown = project.run("python", "-c", on_the_small_project(program)).stdout.split()
    assert label in "147"
    assert 1 / 3 <= float(probability) <= 1
    assert is_unknown in ("True", "False")


def test_what_is_run_elsewhere_is_in_the_readme():
    assert set(ELSEWHERE) <= set(COMMANDS)
    assert len(COMMANDS) >= 17


@pytest.mark.parametrize("target", ["demo", "test", "wheel", "help"])
def test_a_make_target_exists(project, target):
    assert project.run("make", "--dry-run", target, check=False).returncode == 0


def test_every_file_that_a_document_links_to_is_there():
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tree_in_the_readme_is_the_tree():
    tree = TEXT.split("## The tree")[1].split("```")[1]
    for path in re.findall(r"^([\w.]+/?) {2,}", tree, re.MULTILINE):
        assert (ROOT / path).exists(), path
    inside = re.findall(r"^  ([\w.]+/?) {2,}", tree, re.MULTILINE)
    assert len(inside) >= 6
    for path in inside:
        assert (ROOT / "graft" / path).exists(), path
