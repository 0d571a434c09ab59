"""Run the whole pipeline with its defaults, then pull the model and predict, as its users would."""

import shlex
import subprocess
import sys
import time

from flows import training
from graft.errors import LINES, GraftError, printable, reported
from tasks import artifacts
from tasks.data import DataParams
from tasks.params import read_params
from tasks.publish import PublishParams


def graft(*arguments: str) -> str:
    """Run the command `graft` and return its output. Raises `GraftError` with its message if it fails."""
    done = subprocess.run([sys.executable, "-m", "graft.cli", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise GraftError(f"`graft {' '.join(arguments)}`: {done.stderr.removeprefix('error: ').strip()}")
    return done.stdout.strip()


def main() -> None:
    """Run the demo and print its results."""
    began = time.monotonic()
    result = training.run()
    name, images = read_params("publish", PublishParams).name, read_params("data", DataParams).folder
    pulled = graft("pull", name)
    test_images = artifacts.read_split("test")
    image = images / test_images["path"].iloc[len(test_images) // 2]
    answer = graft("predict", str(image), "--model", name)
    accuracy = artifacts.read_json(artifacts.METRICS)["accuracy"]
    print("\n" + printable(training.summary(result, time.monotonic() - began), LINES))
    print("accuracy   {value:.1%} ({low:.1%} to {high:.1%}) on {images} test images".format(**accuracy))
    print(f"pulled     {pulled.splitlines()[-1]}")
    print(f"predicted  {answer.splitlines()[-1]}")
    print(f"\nTry next:  .venv/bin/graft predict {shlex.quote(str(image))} --model {name} --plot prediction.png")


if __name__ == "__main__":
    with reported():
        main()
