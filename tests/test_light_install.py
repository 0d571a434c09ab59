"""Who only uses a model installs little and waits little: proven in fresh interpreters and on the wheel itself."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_bundle import make_bundle, make_images

from graft.browser.folder import SCRIPTS

REPOSITORY = Path(__file__).parent.parent
HEAVY = ("cv2", "dvc", "fastapi", "great_expectations", "keras", "matplotlib", "onnx", "pandas", "prefect", "ray",
         "scipy", "sklearn", "tensorflow", "uvicorn")
SLOW_TO_START = (*HEAVY, "boto3", "botocore", "prometheus_client", "tqdm", "urllib3")

# what the command line would do in an environment that has none of the modules in `absent`
RUN = """
import importlib.abc, sys
absent = set({absent!r})
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from graft.cli.main import main
try:
    main({arguments!r})
except SystemExit as ended:
    print("exit code", ended.code or 0)
print("loaded", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def run(arguments, absent=(), folder=REPOSITORY):
    """Run the command in a fresh interpreter; what it printed, its exit code, the top-level modules it loaded."""
    code = RUN.format(absent=tuple(absent), arguments=[str(each) for each in arguments])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    *printed, code, loaded = done.stdout.splitlines()
    return printed, int(code.split()[-1]), set(loaded.split()[1:])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images"), images=1, spread=5) / "red" / "00.png"


def test_predict_loads_nothing_slow(model, image):
    printed, code, loaded = run(["predict", image, "--model", model])
    assert code == 0 and printed[0].startswith(f"{image}: red")
    assert {"numpy", "PIL", "onnxruntime"} <= loaded
    assert loaded.isdisjoint(SLOW_TO_START)


def test_predict_works_where_nothing_heavy_is_installed(model, image, tmp_path):
    plot = tmp_path / "out.png"
    printed, code, _ = run(["predict", image, image.parent, "--plot", plot, "--model", model], absent=HEAVY)
    assert code == 0 and len(printed) == 2 and plot.exists()


def test_publish_and_predict_from_a_local_registry_need_nothing_heavy(model, image, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    absent = {*HEAVY, "boto3", "botocore"}
    assert run(["publish", model, "colours", "--registry", tmp_path / "registry"], absent)[1] == 0
    printed, code, _ = run(["predict", image, "--model", "colours@1", "--registry", tmp_path / "registry"], absent)
    assert code == 0 and printed[0].startswith(f"{image}: red")


@pytest.mark.parametrize("module", ["graft", "graft.cli.main", "graft.cli.predict", "graft.predict.plot",
                                    "graft.predict.sources", "graft.predict.urls", "graft.predict.writers"])
def test_importing_a_light_module_loads_nothing_slow(module):
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert set(done.stdout.split()).isdisjoint(SLOW_TO_START)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this package, built from a copy by the declared build backend."""
    copy = tmp_path_factory.mktemp("wheel")
    shutil.copytree(REPOSITORY / "graft", copy / "graft", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    (copy / "README.md").write_text("Graft\n")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], cwd=copy, check=True,
                   capture_output=True)
    return next((copy / "dist").glob("*.whl"))


def test_the_wheel_holds_what_users_of_a_model_need_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    packages = {"/".join(name.split("/")[:2]) for name in names if name.startswith("graft/")}
    assert {"graft/cli", "graft/model", "graft/registry", "graft/py.typed", "graft/__init__.pyi"} <= packages
    assert {f"graft/browser/{name}" for name in (*SCRIPTS, "page.html", "answers.css")} <= names
    assert {name.partition("/")[0] for name in names} == {"graft", "graft-0.1.0.dist-info"}
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line]
    assert {line.split()[1].split(">")[0] for line in required} == {
        "boto3", "numpy", "onnxruntime", "pillow", "shtab", "tqdm"}


def test_the_wheel_predicts_without_the_repository(wheel, model, image, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    printed, code, _ = run(["predict", image, "--model", model], absent={*HEAVY, "tasks", "flows"}, folder=tmp_path)
    assert code == 0 and printed[0].startswith(f"{image}: red")
