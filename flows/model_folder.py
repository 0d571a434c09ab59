"""The folder of a model: its params.yaml, dvc.yaml, dvc.lock and outputs.

The project's own folder holds one model; `python -m flows.start FOLDER --model NAME` adds another in models/NAME. Every
command works on the model of the folder in which it runs. DVC follows no link in an earlier commit, so each folder has
a copy of dvc.yaml; `tasks.code.check_folder` refuses one that differs from the project's.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from graft.errors import GraftError
from graft.machine.files import whole
from graft.registry.address import check_name
from tasks.code import GRAPH
from tasks.params import PARAMS, read_sections
from tasks.repository import project_folder

MODELS = Path("models")
DEPLOYMENTS = Path("prefect.yaml")
RETRAINING = "retraining"       # the deployment that has a schedule for each model


@contextlib.contextmanager
def entered(folder: str) -> Iterator[None]:
    """Work in a model's folder, relative to the project. Raises `GraftError` if it is none."""
    path = (project_folder() / folder).resolve()
    if not path.is_relative_to(project_folder().resolve()) or not (path / PARAMS).is_file():
        raise GraftError(f"folder: '{folder}' has no {PARAMS}: it is no model's folder. Expected '.' or one such as "
                         f"{MODELS}/pets, committed before `prefect deploy --all`.")
    with contextlib.chdir(path):
        yield


@contextlib.contextmanager
def created(name: str) -> Iterator[None]:
    """Work in models/NAME, made unless it is there. If the block raises, what was made is removed."""
    project, folder = project_folder(), project_folder() / MODELS / check_name(name)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for file in (PARAMS, GRAPH):
        if not (folder / file).exists():
            text = (project / file).read_text(encoding="utf-8")
            (folder / file).write_text(text.replace("$schema=", "$schema=../../"), encoding="utf-8")   # for editors
    try:
        with contextlib.chdir(folder):
            yield
    except BaseException:
        if is_new:
            shutil.rmtree(folder)
        raise


def find_namesakes(name: str) -> list[Path]:
    """The params.yaml of this project's other models that are published under the same name."""
    project, here = project_folder(), Path.cwd()
    found = [project / PARAMS, *sorted((project / MODELS).glob(f"*/{PARAMS}"))]
    return [file for file in found if file.is_file() and file.parent != here
            and (read_sections(file).get("publish") or {}).get("name") == name]


def schedule() -> bool:
    """Give the model of this folder the schedule that the project has in prefect.yaml. Returns whether it was added."""
    file, yaml, folder = project_folder() / DEPLOYMENTS, YAML(), Path.cwd().relative_to(project_folder()).as_posix()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(file)
    clocks = next((each.get("schedules") for each in content["deployments"] if each["name"] == RETRAINING), None)
    if not clocks or any((each.get("parameters") or {}).get("folder") == folder for each in clocks):
        return False
    same = {key: value for key, value in clocks[0].items() if key not in ("slug", "parameters")}
    clocks.append({"slug": Path.cwd().name, **same, "parameters": {"folder": folder}})
    with whole(file) as unfinished:
        yaml.dump(content, unfinished)
    return True
