"""Stage `code`: what the other stages depend on besides data and parameters. DVC reads its output as parameters.

It runs whenever DVC does, and says of each stage which files of this project and which versions of libraries decide on
its results, and which precision this machine computes with.
"""

import os
from pathlib import Path

from ruamel.yaml import YAML

from graft.errors import reported
from pipeline.code import code_of
from pipeline.hardware import fastest_policy
from tasks.params import read_sections

OWN_NAME = "code"
GPU_VARIABLE = "GRAFT_GPU_DEPLOYMENT"   # stages/gpu: who trains on a GPU host; not set: all runs on this machine


def collect() -> dict:
    """Stage -> its `pipeline.code.code_of`; and `precision`, a Keras dtype policy."""
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    return {name: code_of(f"tasks.{name}") for name in stages if name != OWN_NAME} | {"precision": precision()}


def precision() -> str:
    """`extract.precision`, or for `auto` the fastest one of the machine that will compute."""
    asked = (read_sections().get("extract") or {}).get("precision", "auto")
    if asked != "auto":
        return asked
    return "mixed_float16" if os.environ.get(GPU_VARIABLE) else fastest_policy()


def main() -> None:
    from tasks import artifacts

    artifacts.write_json(artifacts.CODE, collect())


if __name__ == "__main__":
    with reported():
        main()
