"""A copy of the project in a folder of its own, with other parameters: for runs that must not touch this one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent


class Project:
    """A copy of all files that git would track, as they are now, in its own git and DVC repository.

    Args:
        folder: an empty or missing folder.
        changes: parameters to set, as "finetune.learning_rate" -> value.
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
        """Set some parameters; the comments in params.yaml stay."""
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
        """The environment for commands of this copy: its own registry, model cache and Prefect home."""
        folders = {"GRAFT_REGISTRY": "registry", "GRAFT_HOME": ".graft/home", "PREFECT_HOME": ".prefect"}
        own = {name: str(self.folder / folder) for name, folder in folders.items()}
        kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        return {**kept, **own, "PATH": path, "PYTHONPATH": str(self.folder), **more}

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command there. `python` is this Python; output and errors come as text."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment(**environment), text=True,
                              capture_output=True)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done
