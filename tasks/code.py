"""Stage `code`: what the other stages depend on besides data and parameters. DVC reads its output as parameters.

It always runs, and records which files of this project and which library versions determine each stage's results,
the precision and the engine that this machine computes with, and a digest of the user's decisions on the images.
"""

import hashlib
import os
import shlex
from pathlib import Path

from ruamel.yaml import YAML

from graft.errors import GraftError, reported
from pipeline.code import ROOT, code_of
from pipeline.hardware import fastest_engine, fastest_policy, has_openvino
from pipeline.image_folder import image_folder
from pipeline.intake.decisions import table_of
from tasks.params import PARAMS, read_sections
from tasks.repository import project_folder

OWN_NAME = "code"
GRAPH = Path("dvc.yaml")
GPU_VARIABLE = "GRAFT_GPU_DEPLOYMENT"   # a deployment for a GPU host, such as stages/gpu; if unset, all runs here


def collect() -> dict:
    """Stage -> `code_of` its module, and in `extract` `weights`; `precision`, `engine` and `decisions`."""
    stages = YAML(typ="safe").load(GRAPH)["stages"]
    found = {name: code_of(f"tasks.{name}") for name in stages if name != OWN_NAME}
    return found | {"extract": found["extract"] | weights(), "precision": precision(), "engine": engine(),
                    "decisions": decisions()}


def weights() -> dict[str, str]:
    """A digest of the file that `extract.backbone.weights` names, if it names one: DVC itself does not look at it."""
    path = Path(str(((read_sections().get("extract") or {}).get("backbone") or {}).get("weights")))
    file = path / "model.weights.h5" if path.is_dir() else path         # of a preset of KerasHub
    if not file.is_file():
        return {}
    with open(file, "rb") as content:
        return {"extract.backbone.weights": hashlib.file_digest(content, "sha256").hexdigest()[:16]}


def precision() -> str:
    """The Keras dtype policy `extract.precision`; for `auto`, the fastest on the machine that trains."""
    asked = _asked("precision")
    if asked != "auto":
        return asked
    return "mixed_float16" if os.environ.get(GPU_VARIABLE) else fastest_policy()


def engine() -> str:
    """What the frozen part runs on, `extract.engine`; for `auto`, the fastest on the machine that trains.

    Raises:
        GraftError: if that is OpenVINO, and it is not installed or does not compute in the precision.
    """
    asked, is_half = _asked("engine"), precision() == "mixed_float16"
    if asked == "auto":
        return "keras" if is_half or os.environ.get(GPU_VARIABLE) else fastest_engine()
    if asked == "openvino" and is_half:
        raise GraftError(f"{PARAMS}: extract.engine: openvino computes in float32 or mixed_bfloat16, but "
                         "extract.precision is mixed_float16, which is for GPUs. Set one of them to auto.")
    if asked == "openvino" and not has_openvino():
        raise GraftError(f"{PARAMS}: extract.engine: the package 'openvino' is not installed. Run `make setup`, or set "
                         "it to auto.")
    return asked


def _asked(key: str) -> str:
    return (read_sections().get("extract") or {}).get(key, "auto")


def decisions() -> str:
    """A digest of the decisions on the images; empty without any: DVC itself depends on no file that may be absent."""
    images = (read_sections().get("data") or {}).get("images")
    table = table_of(image_folder(str(images)))
    return hashlib.sha256(table.read_bytes()).hexdigest()[:16] if table.is_file() else ""


def check_folder() -> None:
    """Raise `GraftError` if the folder of a second model has another dvc.yaml or another code than its project.

    In the project's own folder, Python finds the code that is there.
    """
    here, project = Path.cwd(), project_folder()
    if here == project:
        return
    if project.resolve() != ROOT:
        raise GraftError(f"{here}: this Python runs the code of {ROOT}, which is another checkout. Use this one's "
                         f"environment, made by `make setup`, or set PYTHONPATH={shlex.quote(str(project))}.")
    if GRAPH.is_file() and GRAPH.read_bytes() != (project / GRAPH).read_bytes():
        raise GraftError(f"{here / GRAPH} differs from {project / GRAPH}: all models have one graph. Copy it: "
                         f"`cp {shlex.quote(str(project / GRAPH))} {shlex.quote(str(here))}`.")


def main() -> None:
    """Write code.json."""
    from tasks import artifacts

    check_folder()
    artifacts.write_json(artifacts.CODE, collect())


if __name__ == "__main__":
    with reported():
        main()
