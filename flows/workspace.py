"""Where a deployed run gets its code, and where it works: in a clone of its own, at the commit that was deployed.

Two runs at once share nothing but what is named by its content: DVC's cache, the activations and the checkpoints, so
that a run finds what an earlier one has made, killed or not. They stand in the folder GRAFT_SHARED: by default the
checkout from which the worker's environment was installed (`make setup`), else ~/.cache/graft/shared.
"""

import json
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from ruamel.yaml import YAML

from flows.dvc import Dvc
from graft.errors import GraftError
from graft.registry.address import REGISTRY_VARIABLE, default_registry
from tasks.artifacts import CACHE
from tasks.repository import git, state

SHARED_VARIABLE = "GRAFT_SHARED"


def source() -> dict[str, str]:
    """A build step of prefect.yaml: where a run clones the repository from, and at which commit.

    Raises:
        GraftError: when this folder is no git repository with a commit.
    """
    try:
        commit = git("rev-parse", "HEAD")
    except GraftError as error:
        raise GraftError(f"{Path.cwd()}: no commit can be deployed. A deployed run clones the repository at an exact "
                         f"commit: `git init && git add . && git commit -m 'Begin'` first.\n{error}") from None
    if git("status", "--porcelain", "--untracked-files=no"):
        print(f"what is not committed is not deployed: runs will have commit {commit[:12]}")
    repository = _remote_with(commit)
    if repository is None:
        repository = str(Path.cwd())
        print(f"no remote has commit {commit[:12]}: runs will clone {repository}, which only a worker on this machine "
              "can. Push, and deploy again, for all others.")
    return {"repository": repository, "commit": commit}


def prepare(dvc: Dvc) -> None:
    """Let a deployed run's clone share what is safe to share, and bring the data that DVC tracks.

    A run that was started by hand works where it stands, and this does nothing but bring the data.
    """
    from prefect.runtime import deployment

    if deployment.id:
        _share(dvc, shared_folder())
    missing = [file for file in map(str, Path("data").glob("**/*.dvc")) if not Path(file.removesuffix(".dvc")).exists()]
    if missing:
        _pull(dvc, sorted(missing))


def _pull(dvc: Dvc, files: list[str]) -> None:
    try:
        dvc.run("pull", *files, tell=lambda line: None)
    except GraftError as error:
        raise GraftError(f"{', '.join(files)}: what it names is neither in DVC's cache on this machine nor in a DVC "
                         f"remote. Run `dvc push` where the data are.\n{error}") from None


def shared_folder() -> Path:
    """GRAFT_SHARED, else the checkout that the environment was installed from, else a folder in the user's cache."""
    if named := os.environ.get(SHARED_VARIABLE):
        return Path(named).expanduser().absolute()
    try:
        origin = json.loads(distribution("graft").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlsplit(origin["url"]).path))
    return Path("~/.cache/graft/shared").expanduser()


def gpu_stages() -> list[str]:
    """The stages that dvc.yaml marks with `meta: {gpu: true}`: they train, and keep their checkpoints below .graft."""
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    return [name for name, stage in stages.items() if stage.get("meta", {}).get("gpu")]


def commit() -> str | None:
    """The commit of the code in the current folder; None where git does not say."""
    return state([])["commit"]


def _share(dvc: Dvc, shared: Path) -> None:
    for name in ("activations", *gpu_stages()):     # each file in them is named by all that it depends on
        (shared / CACHE / name).mkdir(parents=True, exist_ok=True)
        CACHE.mkdir(exist_ok=True)
        if not (CACHE / name).exists():
            (CACHE / name).symlink_to(shared / CACHE / name)
    known = shared / ".dvc/config.local"            # such as the keys of the DVC remote
    if known.exists() and shared.absolute() != Path.cwd():
        Path(".dvc/config.local").write_text(known.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {"cache.dir": str(shared / ".dvc/cache"), "cache.type": "reflink,hardlink,copy",
                "core.site_cache_dir": str(Path(".dvc/tmp/site").absolute())}
    for key, value in settings.items():
        dvc.run("config", "--local", key, value)
    if "://" not in default_registry():             # a folder in the clone would be gone after the run
        os.environ[REGISTRY_VARIABLE] = str(shared / default_registry())


def _remote_with(commit: str) -> str | None:
    """The address of a remote that has the commit, as far as this clone knows; origin if it is one of them."""
    branches = git("branch", "--remotes", "--contains", commit, "--format=%(refname:short)").splitlines()
    remotes = sorted({branch.partition("/")[0] for branch in branches}, key=lambda name: (name != "origin", name))
    return _without_password(git("remote", "get-url", remotes[0])) if remotes else None


def _without_password(address: str) -> str:
    """A deployment can be read by all who reach the server: the worker's own git credentials count."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
