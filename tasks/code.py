"""Stage `code`: what the other stages depend on besides data and parameters. DVC reads its output as parameters.

It always runs, and records which files of this project and which library versions determine each stage's results, and
the precision that this machine computes in.
"""

import os
from pathlib import Path

from ruamel.yaml import YAML

from graft.errors import reported
from pipeline.code import code_of
from pipeline.hardware import fastest_policy
from tasks.params import read_sections

OWN_NAME = "code"
GPU_VARIABLE = "GRAFT_GPU_DEPLOYMENT"   # a deployment for a GPU host, such as stages/gpu; if unset, all runs here


def collect() -> dict:
    """Stage -> `pipeline.code.code_of` its module; and `precision`, see `precision`."""
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    return {name: code_of(f"tasks.{name}") for name in stages if name != OWN_NAME} | {"precision": precision()}


def precision() -> str:
    """The Keras dtype policy `extract.precision`; for `auto`, the fastest on the machine that trains."""
    asked = (read_sections().get("extract") or {}).get("precision", "auto")
    if asked != "auto":
        return asked
    return "mixed_float16" if os.environ.get(GPU_VARIABLE) else fastest_policy()


def main() -> None:
    """Write code.json."""
    from tasks import artifacts

    artifacts.write_json(artifacts.CODE, collect())


if __name__ == "__main__":
    with reported():
        main()
