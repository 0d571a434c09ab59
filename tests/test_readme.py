"""The documents against the project: every command in the README runs, here or in the test that is named, and every
file, target and module that a document names exists."""

import re
import shlex
import subprocess
from importlib.util import find_spec

import pytest
from PIL import Image

from benchmarks import browser
from benchmarks.scratch import ROOT, Project, write_some_digits
from docs import pictures

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md",
                                      "starter/README.md", "infra/README.md", "docs/s3.md", "docs/review.md",
                                      "docs/models.md")]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ALL_TEXT = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
BLOCKS = {kind: re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("sh", "python")}
COMMANDS = [line for block in BLOCKS["sh"] for line in block.splitlines() if line]
OF_MODELS = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENTS[-1].read_text(encoding="utf-8"), re.DOTALL)
             for line in block.splitlines()]
STEPS = [command for command in COMMANDS if command.startswith(("python -m flows.start", "git "))]     # run in order
ELSEWHERE = {
    "make demo": "needs minutes; its target is checked below",
    "make test": "is what runs now",
    "python -m flows.training": "test_end_to_end.py",
    "prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api": "test_the_server_is_found_from_every_terminal",
    "prefect server start": "test_deployments.py",
    "prefect worker start --pool default --type process": "test_infra_services.py",
    "prefect deploy --all": "test_deployments.py",
    "prefect deployment run training/training": "test_deployments.py",
}
FOLDERS = ("benchmarks", "docs", "flows", "graft", "infra", "pipeline", "requirements", "starter", "tasks", "tests")
PICTURES = sorted((ROOT / "docs").glob("*.png"))
MAX_LINES, MAX_PICTURE_BYTES = 200, 200_000
SHARE = r"[\d.]+%"
ANSWER = rf"\S+: (unknown, most like )?\S+ {SHARE}(, \S+ {SHARE})*"
DEMO = {                    # first word of a line that the demo ends with -> the whole line
    "gate": r"gate       (PROMOTE|HOLD|REJECT): .+",
    "published": r"published  \S*registry/\w+@\d+(, before this run)?",
    "pulled": r"pulled     \S+/\w+/versions/\d+",
    "predicted": rf"predicted  {ANSWER}",
}


def on_the_small_project(text: str) -> str:
    """The same with that project's model and images."""
    for name, its_own in (("digits", "tiny"), ("clothes", "tiny"), ("data/sample/3/1130.png", "data/tiny/4/0004.png"),
                          ("data/sample/7", "data/tiny/7")):
        text = text.replace(name, its_own)
    return text


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in (*ELSEWHERE, *STEPS)])
def test_a_command_runs(project, command):
    done = project.run(*shlex.split(on_the_small_project(command)), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_command_that_lists_findings_runs(project):
    [command] = re.findall(r"```sh\n(.*?)\n```", DOCUMENTS[-2].read_text(encoding="utf-8"), re.DOTALL)
    assert re.search(r"\d+ of \d+ findings are open", project.run(*shlex.split(command)).stdout)


@pytest.mark.parametrize("command", OF_MODELS)
def test_a_command_for_users_of_models_runs(project, command):
    done = project.run("bash", "-c", on_the_small_project(command), check=False)
    if "onnxruntime-web" in done.stderr and "cannot be fetched" in done.stderr:
        pytest.skip(done.stderr)        # the one command that needs the internet
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_python_example_runs(project):
    [program] = BLOCKS["python"]
    label, probability, is_unknown = project.run("python", "-c", on_the_small_project(program)).stdout.split()
    assert label in "147"
    assert 1 / 3 <= float(probability) <= 1
    assert is_unknown in ("True", "False")


def test_the_server_is_found_from_every_terminal(project, tmp_path):
    [command] = [each for each in COMMANDS if each.startswith("prefect config set")]
    home = {"PREFECT_HOME": str(tmp_path)}
    project.run(*shlex.split(command), **home)
    asked = "from prefect.settings import get_current_settings; print(get_current_settings().api.url)"
    assert project.run("python", "-c", asked, **home).stdout.strip() == command.partition("=")[2]


def test_what_is_run_elsewhere_is_in_the_readme():
    assert set(ELSEWHERE) <= set(COMMANDS)
    assert len(COMMANDS) >= 17


def test_the_steps_to_own_images_can_be_taken(tmp_path):
    """All but the run itself: the commands work in their order, and git has what they made."""
    project = Project(tmp_path)
    write_some_digits(project.folder / "data/clothes", "147", images=40, size_px=32)
    author = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    assert len(STEPS) == 3
    for step in STEPS:
        project.run(*shlex.split(step), **author)
        if step == STEPS[0]:
            assert project.run("python", "-m", "flows.preflight").stdout
            project.run("dvc", "repro", "split")
    tracked = project.run("git", "ls-files").stdout.splitlines()
    assert {"params.yaml", "data/clothes.dvc", "dvc.lock"} <= set(tracked)


def test_the_demo_ends_as_the_readme_shows(project):
    shown = TEXT.split("Its last lines:")[1].split("```")[1].strip().splitlines()
    assert [line.split()[0] for line in shown] == list(DEMO)
    printed = project.run("python", "-m", "flows.demo").stdout.splitlines()
    for line, form in zip(shown, DEMO.values()):
        assert re.fullmatch(form, line)
        assert any(re.fullmatch(form, each) for each in printed), (form, printed)


def test_an_answer_looks_as_the_readme_shows(project):
    [shown] = re.findall(r"a line such as\s`([^`]+)`", TEXT)
    printed = project.run("graft", "predict", "data/tiny/7", "--model", "tiny").stdout.splitlines()
    assert len(printed) == 40
    for line in (shown, *printed):
        assert re.fullmatch(ANSWER, line), line


def test_the_readme_is_short_and_its_pictures_are_light():
    assert len(TEXT.splitlines()) <= MAX_LINES
    assert {f"docs/{path.name}" for path in PICTURES} == set(re.findall(r"docs/\w+\.png", TEXT))
    assert len(PICTURES) == 3
    for path in PICTURES:
        assert path.stat().st_size <= MAX_PICTURE_BYTES, path.name
        assert Image.open(path).width >= 1200, path.name


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium here: apt-get install chromium")
def test_the_pictures_of_report_and_page_can_be_drawn_anew(project, tmp_path):
    images = [project.folder / "data/tiny/4/0004.png", pictures.draw_smile(tmp_path / "smile.png")]
    with browser.tab() as tab, pictures.served("tiny", project.folder, project.environment()) as address:
        pictures.photograph_report(tab, project.folder / "outputs/gate/report.html", tmp_path / "report.png")
        pictures.photograph_page(tab, address, images, tmp_path / "page.png")
    for name in ("report.png", "page.png"):
        image = Image.open(tmp_path / name)
        assert image.size == tuple(pictures.SCALE * side for side in pictures.PORTRAIT_PX)
        assert len(image.convert("RGB").getcolors(1_000_000)) > 20, "an empty page"


@pytest.mark.parametrize("target", sorted({*re.findall(r"\bmake ([a-z][a-z-]+)`", ALL_TEXT),
                                           *re.findall(r"^make ([a-z-]+)$", ALL_TEXT, re.MULTILINE), "help"}))
def test_a_make_target_exists(project, target):
    assert project.run("make", "--dry-run", target, check=False).returncode == 0


def test_every_module_that_a_document_runs_exists():
    modules = set(re.findall(r"python -m\s+([a-z_.]+[a-z])", ALL_TEXT))
    assert len(modules) >= 20
    for module in modules:
        file = ROOT / module.replace(".", "/")
        assert file.with_suffix(".py").is_file() or find_spec(f"{module}.__main__"), module


def test_every_file_that_a_document_links_to_or_names_is_there():
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        linked = [document.parent / target for target in re.findall(r"(?:\]\(|src=\")([^)\"#:]+)[)\"#]", text)]
        named = {name for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", text) if "NAME" not in name}
        named -= set(subprocess.run(["git", "check-ignore", *named], cwd=ROOT, capture_output=True, text=True
                                    ).stdout.splitlines())      # the user makes them
        for path in (*linked, *(ROOT / name for name in named)):
            assert path.exists(), f"{document.name}: {path.relative_to(ROOT)}"


def test_the_tree_in_the_readme_is_the_tree():
    tree = TEXT.split("## The tree")[1].split("```")[1]
    for path in re.findall(r"^([\w.]+/?) {2,}", tree, re.MULTILINE):
        assert (ROOT / path).exists(), path
    inside = re.findall(r"^  ([\w.]+/?) {2,}", tree, re.MULTILINE)
    assert len(inside) >= 6
    for path in inside:
        assert (ROOT / "graft" / path).exists(), path
