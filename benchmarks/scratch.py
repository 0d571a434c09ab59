"""A copy of the project with other parameters, for runs that must not touch this one, and a small set of images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from tasks.sample import write_digits

ROOT = Path(__file__).resolve().parent.parent
NOT_PASSED_ON = ("PREFECT_API_URL", "KERAS_BACKEND")        # the import of `pipeline.training` sets the latter
TINY = {            # with `write_some_digits(folder / "data/tiny", "147", 40, 32)`, all stages run in a minute
    "data.images": "data/tiny", "publish.name": "tiny", "gate.min_accuracy": 0.0, "gate.min_class_recall": 0.0,
    "extract.backbone.image_size": [32, 32], "extract.backbone.cut": "block_5_add", "extract.views": 1,
    "transfer.epochs": 2, "finetune.epochs": 1, "finetune.learning_rate": 1e-3, "evaluate.bootstrap_draws": 100,
}


class Project:
    """A copy of the working tree, without what git ignores, in a git and DVC repository of its own.

    Args:
        folder: an empty or missing folder.
        changes: parameters to set, such as "finetune.learning_rate" -> 1e-4.
    """

    def __init__(self, folder: Path, **changes):
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout.splitlines()
        for file in filter(lambda name: (ROOT / name).is_file() and name != "dvc.lock", listed):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        self.run("git", "init", "--quiet")
        self.change(changes)

    def change(self, changes: dict) -> None:
        """Set parameters; params.yaml keeps its comments."""
        yaml, file = YAML(), self.folder / "params.yaml"
        content = yaml.load(file)
        for key, value in changes.items():
            *path, last = key.split(".")
            section = content
            for step in path:
                section = section[step]
            section[last] = value
        yaml.dump(content, file)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of this copy's commands, with its own registry, model cache and Prefect home."""
        folders = {"GRAFT_REGISTRY": "registry", "GRAFT_HOME": ".graft/home", "PREFECT_HOME": ".prefect"}
        own = {name: str(self.folder / folder) for name, folder in folders.items()}
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        return {**kept, **own, "PATH": path, "PYTHONPATH": str(self.folder), **more}

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command in the copy, with this Python. Output and errors are text."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment(**environment), text=True,
                              capture_output=True)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done


def write_some_digits(folder: Path, digits: str, images: int, size_px: int) -> None:
    """Write the first `images` scans of each of the handwritten `digits` to FOLDER/DIGIT/."""
    with TemporaryDirectory() as name:
        write_digits(Path(name, "all"), size_px)
        for digit in digits:
            (folder / digit).mkdir(parents=True)
            for image in sorted(Path(name, "all", digit).iterdir())[:images]:
                shutil.copy(image, folder / digit)
