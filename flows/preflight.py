"""Report every mistake that can be found before anything runs, all at once.

The flow starts with `check`; a run that is started by hand, and `python -m flows.preflight`, with `check_all`.
"""

import shlex
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import ModuleType

from ruamel.yaml import YAML, YAMLError

from flows import model_folder, surroundings, workspace
from graft.errors import GraftError, did_you_mean, reported
from graft.machine.files import unfinished
from pipeline.image_folder import S3Path
from tasks.code import GRAPH, check_folder
from tasks.data import DataParams
from tasks.params import PARAMS, read_params, read_sections
from tasks.publish import ATTACHED, PublishParams
from tasks.repository import git, state

ANSWER_S = 15                       # how long Prefect's server may take to answer
STEPS = ("gate", "card", "publish")         # what the flow does after the stages


def check() -> None:
    """Check params.yaml, the image folder and the repository. Raises `GraftError` naming everything that is wrong."""
    sections = [*_stages(), *STEPS]
    problems = [
        f"{PARAMS}: section '{name}' is unknown.{did_you_mean(name, sections)}"
        for name in read_sections() if name not in ("data", *sections)
    ]
    modules = {name: import_module(f"tasks.{name}") for name in sections if find_spec(f"tasks.{name}")}
    problems += [f"{GRAPH}: stage '{name}' has no module tasks/{name}.py.{did_you_mean(name, modules)}"
                 for name in sections if name not in modules]
    wrong = {name: _problem(read_params, name, getattr(module, f"{name.capitalize()}Params"))
             for name, module in modules.items()} | {"data": _problem(read_params, "data", DataParams)}
    problems += chain.from_iterable(wrong.values())
    if not wrong["data"]:
        ready = [module for name, module in modules.items() if not wrong[name]]
        problems += _images(read_params("data", DataParams).folder, ready)
    problems += _problem(check_repository) + _problem(check_folder)
    if not wrong["publish"]:
        problems += _problem(check_name, read_params("publish", PublishParams).name)
    if problems:
        raise GraftError("\n       ".join(problems))


def check_name(name: str) -> None:
    """Raise `GraftError` if another model of this project is published under the name of this one."""
    for other in model_folder.find_namesakes(name):
        raise GraftError(f"{PARAMS}: publish.name: {other} publishes another model as '{name}', and each would replace "
                         "the other. Give one of them another name.")


def check_all(publish: bool = True) -> None:
    """`check`, and what a run that starts here and now needs around it: see `flows.surroundings`, and Prefect's server.

    Args:
        publish: whether the run is to publish.

    Raises:
        GraftError: naming everything that is wrong.
    """
    problems = _problem(check) or surroundings.find_problems(publish)
    problems += _problem(check_server)
    if problems:
        raise GraftError("\n       ".join(problems))


def check_server() -> None:
    """Raise `GraftError` if PREFECT_API_URL, or Prefect's profile, names no Prefect server that answers.

    Without either, the flow starts the embedded server: then raise it if PREFECT_HOME cannot be written.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if not (address := settings.api.url):
        _check_writable(settings.home)
    elif problem := _server_problem():
        raise GraftError(f"no Prefect server answers at {address} ({problem}). Expected an address such as "
                         "http://127.0.0.1:4200/api. Start the server with `prefect server start`, or correct "
                         "PREFECT_API_URL; `prefect config view` shows where it is set. If it is not set, the flow "
                         "starts its own server.")


def _server_problem() -> str | None:
    """What keeps Prefect's server from being used: nobody answers, something else does, or another major version."""
    from prefect import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
              get_client(httpx_settings={"timeout": ANSWER_S}, sync_client=True) as client):
            client.raise_for_api_version_mismatch()     # understands the answer, which the health check does not
            problem = client.api_healthcheck()
    except Exception as error:      # of httpx, of JSON, or Prefect's RuntimeError
        problem = error.__cause__ or error
    if isinstance(problem, ValueError):
        return "it answers, but not as Prefect does"
    return (str(problem) or type(problem).__name__).splitlines()[0] if problem else None


def _check_writable(home: Path) -> None:
    try:
        with unfinished(home) as file:
            file.touch()
    except OSError as error:
        raise GraftError(f"{home}: {error.strerror}. Prefect keeps its database there. Set PREFECT_HOME to a folder "
                         "that you can write to, on a disk with free space.") from None


def _stages() -> list[str]:
    """The stages of dvc.yaml that have a section in params.yaml."""
    try:
        stages = YAML(typ="safe").load(GRAPH)["stages"]
    except OSError as error:
        raise GraftError(f"{GRAPH} cannot be read: {error.strerror}. Run this in the project folder.") from None
    except YAMLError as error:
        raise GraftError(f"{GRAPH} is not valid YAML: {error}") from None
    return [name for name, stage in stages.items() if name in stage.get("params", ())]


def _problem(check: Callable, *arguments) -> list[str]:
    try:
        check(*arguments)
    except GraftError as error:
        return [str(error)]
    return []


def _images(folder: Path | S3Path, modules: list[ModuleType]) -> list[str]:
    """What is wrong with the image folder, as the function `preflight` of a stage finds out before it runs."""
    if isinstance(folder, Path) and not folder.exists():
        return _missing_images(folder)
    return [problem for module in modules if hasattr(module, "preflight") for problem in _problem(module.preflight)]


def _missing_images(folder: Path) -> list[str]:
    """Explain a missing image folder, unless a stage or `dvc pull` will create it."""
    if folder == Path("data/sample") or folder.with_name(folder.name + ".dvc").exists():
        return []
    return [
        f"{PARAMS}: data.images: the folder '{folder}' does not exist. Expected a folder of class folders, such as "
        f"{folder}/cat/1.jpg. Put your images there, or name another folder. A deployed run has only what git "
        f"and DVC track: run `dvc add {shlex.quote(str(folder))}`, commit and deploy again."
    ]


def check_repository() -> None:
    """Raise `GraftError` in a folder that is in no git or DVC repository, such as an unpacked archive of the code."""
    here = Path.cwd()
    has_git, has_dvc = (any((folder / name).exists() for folder in (here, *here.parents)) for name in (".git", ".dvc"))
    if has_git and has_dvc:
        return
    init = "dvc init" if (here / ".git").exists() or not has_git else "dvc init --subdir"
    steps = [*["git init"] * (not has_git), *[init] * (not has_dvc), "git add .", "git commit -m 'Begin'"]
    missing = " and ".join([*["a git repository"] * (not has_git), *["a DVC repository"] * (not has_dvc)])
    raise GraftError(f"{here} is not in {missing}, which the flow needs. Clone the project, or run here: "
                     f"`{' && '.join(steps)}`")


def imported_data() -> list[str]:
    """The `.dvc` files of this model's images that DVC imported and can update from their source.

    Raises:
        GraftError: if `dvc exp run` has recorded the present state of a source without fetching it, as DVC 3.67 does
            with a frozen import: `dvc update` would then find nothing new.
    """
    files = [file for file in workspace.tracked_images() if "deps:" in Path(file).read_text(encoding="utf-8")]
    if touched := [shlex.quote(file) for file in files if _is_touched(file)]:
        names = " ".join(touched)
        raise GraftError(f"{names}: `dvc exp run` has recorded that the source has changed, but has not fetched it, so "
                         f"that `dvc update` would skip it. Run `git checkout {names}` first.")
    return files


def _is_touched(file: str) -> bool:
    """Whether an import's source differs from the last commit's, and its data do not."""
    try:
        committed = YAML(typ="safe").load(git("show", f"HEAD:./{file}"))
    except GraftError:                  # it is not committed yet
        return False
    now = YAML(typ="safe").load(Path(file))
    return committed.get("outs") == now.get("outs") and committed.get("deps") != now.get("deps")


if __name__ == "__main__":
    with reported():
        check_all()
        if state(ATTACHED)["dirty"]:
            print("note: tracked files differ from the last commit, so the version will record no clean commit")
        print("params.yaml, the image folder, weights, registry, disk, memory and Prefect's server: all fine")
