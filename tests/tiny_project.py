"""A copy of the project on a small set, through the whole flow once: what the end-to-end tests start from."""

import copy
import fcntl
import pickle
import shutil
from pathlib import Path

from connections import traced

from benchmarks.scratch import TINY, Project, write_some_digits


def make_tiny_project(folder: Path) -> Project:
    """Three digits, 40 images each. What the flow printed is in `flow`, whom it connected to in `connections`."""
    project = Project(folder, **TINY)
    write_some_digits(project.folder / "data/tiny", "147", images=40, size_px=32)
    project.connections = folder / "connections.log"
    project.flow = project.run(*traced(project.connections), "python", "-m", "flows.training")
    return project


def shared_tiny_project(folder: Path) -> Project:
    """The project that the first process which asks for it makes in `folder`, which takes a minute; the others wait.

    To be copied, not written to. One that failed is made again by the next process.
    """
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # ends with the process, however that ends
        made = folder / "project.pickle"
        if not made.exists():
            shutil.rmtree(folder / "project", ignore_errors=True)
            made.write_bytes(pickle.dumps(make_tiny_project(folder / "project")))
        return pickle.loads(made.read_bytes())


def copied(project: Project, folder: Path) -> Project:
    """The same with all its outputs and caches in another folder, to be changed there."""
    own = copy.copy(project)
    own.folder = folder
    shutil.copytree(project.folder, folder, symlinks=True)
    return own
