"""A copy of the project on a small set, through the whole flow once: what the end-to-end tests start from."""

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
