"""A copy of the project on a small set, through the whole flow once: what the end-to-end tests start from."""

from pathlib import Path

from benchmarks.scratch import TINY, Project, write_some_digits


def make_tiny_project(folder: Path) -> Project:
    """Three digits, 40 images each. What the flow printed stands in `flow`."""
    project = Project(folder, **TINY)
    write_some_digits(project.folder / "data/tiny", "147", images=40, size_px=32)
    project.flow = project.run("python", "-m", "flows.training")
    return project
