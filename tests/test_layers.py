"""Who may import whom, and what a fresh interpreter really loads."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pipeline.code import ROOT, _imports, imported_files

STAGES = ("sample", "validate", "split", "extract", "transfer", "choose", "finetune", "export", "evaluate")
HEAVY = ("tensorflow", "keras", "great_expectations", "prefect", "dvc", "boto3", "pandas", "onnxruntime", "matplotlib",
         "cv2", "ray")
# the rooms of graft/ from the bottom up: a file imports only its own room and those of lower ranks
RANKS = {"errors.py": 0, "pages.py": 0, "decoding": 1, "images.py": 2, "machine": 3, "model": 4, "store": 4,
         "registry": 5, "predict": 6, "browser": 7, "watch": 7, "server": 8, "cli": 9}


def loaded(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def files(folder: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("module", [f"tasks.{name}" for name in (*STAGES, "card", "gate", "publish", "params")])
def test_a_task_is_light_to_import(module):
    assert loaded(f"import {module}") == set()


def test_the_light_modules_load_nothing_heavy():
    names = ("cli.main", "errors", "images", "model.bundle", "model.classifier", "model.unknown", "registry", "store")
    assert loaded("import " + ", ".join(f"graft.{name}" for name in names)) == set()


def test_evaluation_needs_no_keras():
    modules = loaded("import pipeline.evaluation.report, pipeline.evaluation.decision")
    assert not modules & {"keras", "tensorflow", "prefect", "dvc"}


@pytest.mark.parametrize("root, below", [("graft", {"graft"}), ("pipeline", {"graft", "pipeline"})])
def test_no_import_leads_up(root, below):
    assert len(files(root)) > 20
    for file in files(root):
        assert {other.parts[0] for other in imported_files(file)} <= below, file


def direct_imports(file: Path) -> set[Path]:
    """The files that a file imports by name, without the packages that contain it."""
    packages = {parent / "__init__.py" for parent in file.parents}
    return set(_imports(file)[0]) - packages - {file}


def room(file: Path) -> str:
    return file.parts[1]


def test_the_rooms_of_graft_are_in_order():
    inside = [file for file in files("graft") if len(file.parts) > 2 or file.name != "__init__.py"]
    assert {room(file) for file in inside} == set(RANKS)
    edges = [(file, other) for file in inside for other in direct_imports(file) if room(file) != room(other)]
    assert len(edges) > 50
    assert [(file, other) for file, other in edges if RANKS[room(file)] <= RANKS[room(other)]] == []


def test_no_import_of_graft_goes_in_a_circle():
    order = list(TopologicalSorter({file: direct_imports(file) for file in files("graft")}).static_order())
    assert order.index(Path("graft/errors.py")) < order.index(Path("graft/cli/main.py"))


def test_what_ships_does_not_know_the_pipeline():
    found = {file: word for file in files("graft") for word in ("params.yaml", "dvc", "tasks.", "flows.", "pipeline.")
             if word in (ROOT / file).read_text()}
    assert found == {Path("graft/predict/find.py"): "pipeline."}        # which starts it as a process


def test_tasks_do_not_know_flows_and_stages_do_not_know_each_other():
    stages = {Path(f"tasks/{name}.py") for name in STAGES}
    for file in files("tasks"):
        imported = imported_files(file)
        assert "flows" not in {other.parts[0] for other in imported}, file
        if file in stages:          # a command such as the search for a learning rate may use a stage
            assert not (imported & stages) - {file}, file


def test_only_flows_import_prefect_and_one_file_each_names_tensorflow_and_ray():
    texts = {file: (ROOT / file).read_text()
             for folder in ("graft", "pipeline", "tasks", "flows") for file in files(folder)}
    users = [file for file, text in texts.items() if "import prefect" in text or "from prefect" in text]
    assert {file.parts[0] for file in users} == {"flows"}
    assert [file.name for file, text in texts.items() if "import tensorflow" in text] == ["backend.py"]
    assert [file.name for file, text in texts.items() if "import ray" in text] == ["ray_cluster.py"]
