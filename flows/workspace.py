"""Prepare the folder of a deployed run: its own clone of the code, at the commit that was deployed.

Runs share only files that are named by their content: DVC's cache, the activations and the checkpoints. A run thus
finds what earlier runs made, even killed ones. These files are in the folder GRAFT_SHARED, by default the checkout
from which the worker's environment was installed (`make setup`), or else ~/.cache/graft/shared.
"""

import contextlib
import json
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from ruamel.yaml import YAML

from flows.dvc import Dvc
from graft.errors import GraftError
from graft.machine.files import expanded
from graft.registry.address import LOCAL_REGISTRY, REGISTRY_VARIABLE
from pipeline.image_folder import S3Path
from tasks.artifacts import CACHE
from tasks.data import DataParams
from tasks.params import read_params
from tasks.repository import git, project_folder, state

SHARED_VARIABLE = "GRAFT_SHARED"
PUSH = ("push", "--run-cache", "--with-deps", "dvc.yaml")       # this model's data and outputs: DVC's arguments


def source() -> dict[str, str]:
    """The repository and the commit that runs will clone: a build step of prefect.yaml.

    Returns:
        `repository`, a URL or a folder, `commit`, and `branch`, empty if none is checked out.

    Raises:
        GraftError: if this folder is not a git repository with a commit.
    """
    try:
        commit = git("rev-parse", "HEAD")
    except GraftError as error:
        raise GraftError(f"{Path.cwd()}: there is no commit to deploy. A deployed run clones the repository at a "
                         f"commit: run `git init && git add . && git commit -m 'Begin'` first.\n{error}") from None
    if git("status", "--porcelain", "--untracked-files=no"):
        print(f"uncommitted changes are not deployed: runs will use commit {commit[:12]}")
    repository = _remote_with(commit)
    if repository is None:
        repository = str(Path.cwd())
        print(f"no remote has commit {commit[:12]}: runs will clone {repository}, which works only for a worker on "
              "this machine. For other workers, push and deploy again.")
    return {"repository": repository, "commit": commit, "branch": git("branch", "--show-current")}


def prepare(dvc: Dvc) -> None:
    """Link a deployed run's clone to the shared folder, and pull the data that DVC tracks.

    For a run that was started by hand, only pull the data.

    Raises:
        GraftError: if data are neither in DVC's cache nor in a DVC remote.
    """
    from prefect.runtime import deployment

    if deployment.id:
        _share(dvc, shared_folder())
    if missing := [file for file in tracked_images() if not Path(file.removesuffix(".dvc")).exists()]:
        _pull(dvc, missing)


def take_data(revision: str) -> str:
    """Bring the files of a clone that say which data there are, data/*.dvc and the decisions, to another commit.

    The code and the parameters stay those that were deployed.

    Args:
        revision: a branch or a commit of the clone's repository.

    Returns:
        The commit.

    Raises:
        GraftError: if the repository cannot be reached, or has no such revision.
    """
    try:
        git("fetch", "--quiet", "--", "origin", revision)
    except GraftError as error:
        raise GraftError(f"the repository that this run was cloned from cannot be reached, or has no '{revision}' any "
                         f"more. Push the branch, or deploy again.\n{error}") from None
    with contextlib.chdir(project_folder()):
        if git("ls-tree", "FETCH_HEAD", "data") or git("ls-files", "data"):
            git("restore", "--source", "FETCH_HEAD", "--staged", "--worktree", "--", "data")
    return git("rev-parse", "FETCH_HEAD")


def tracked_images() -> list[str]:
    """The `.dvc` files that track this model's images, relative to this folder; none for images in S3.

    They belong to the images' folder, to one around it or to something in it.
    """
    images, project = images_folder(), project_folder()
    if isinstance(images, S3Path):
        return []
    around = [Path(f"{each}.dvc") for each in (images, *images.parents) if project in each.parents]
    found = {*filter(Path.is_file, around), *images.glob("**/*.dvc")}
    return [os.path.relpath(file) for file in sorted(found)]


def changed_images(dvc: Dvc) -> list[str]:
    """What of this model's images is not as their `.dvc` files say: somebody added some, or pulled a newer commit."""
    files = tracked_images()
    lines = dvc.run("status", *files, on_line=lambda line: None) if files else []
    return [line.partition("modified:")[2].strip() for line in lines if "modified:" in line]


def images_folder() -> Path | S3Path:
    """The whole path of this model's images, which need not be there yet."""
    images = read_params("data", DataParams).folder
    return images if isinstance(images, S3Path) else Path(os.path.normpath(images.absolute()))


def _pull(dvc: Dvc, files: list[str]) -> None:
    try:
        dvc.run("pull", *files, on_line=lambda line: None)
    except GraftError as error:
        raise GraftError(f"{', '.join(files)}: the data are neither in DVC's cache on this machine nor in a DVC "
                         f"remote. Run `dvc push` on the machine with them.\n{error}") from None


def shared_folder() -> Path:
    """GRAFT_SHARED, or else the checkout that the environment was installed from, or else a folder in ~/.cache."""
    if named := os.environ.get(SHARED_VARIABLE):
        return expanded(named)
    try:
        origin = json.loads(distribution("graft").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlsplit(origin["url"]).path))
    return expanded("~/.cache/graft/shared", or_else=f"set {SHARED_VARIABLE}")


def gpu_stages() -> list[str]:
    """The stages that dvc.yaml marks with `meta: {gpu: true}`; their checkpoints are below .graft."""
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    return [name for name, stage in stages.items() if stage.get("meta", {}).get("gpu")]


def commit() -> str | None:
    """The commit of the code in the current folder; None if git fails."""
    return state([])["commit"]


def _share(dvc: Dvc, shared: Path) -> None:
    for name in ("activations", *gpu_stages()):     # a file's name contains a digest of all that it depends on
        (shared / CACHE / name).mkdir(parents=True, exist_ok=True)
        CACHE.mkdir(exist_ok=True)
        if not (CACHE / name).exists():
            (CACHE / name).symlink_to(shared / CACHE / name)
    known, own = shared / ".dvc/config.local", project_folder() / ".dvc"    # may have the keys of the DVC remote
    if known.exists() and shared.absolute() != project_folder():
        (own / "config.local").write_text(known.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {"cache.dir": str(shared / ".dvc/cache"), "cache.type": "reflink,hardlink,copy",
                "core.site_cache_dir": str(own / "tmp/site")}
    for key, value in settings.items():
        dvc.run("config", "--local", key, value)
    registry = os.environ.get(REGISTRY_VARIABLE) or LOCAL_REGISTRY
    if "://" not in registry:                       # a folder in the clone would be lost after the run
        os.environ[REGISTRY_VARIABLE] = str(shared / Path(registry).expanduser())


def _remote_with(commit: str) -> str | None:
    """The address of a remote that has the commit, as far as this clone knows, preferably of origin."""
    branches = git("branch", "--remotes", "--contains", commit, "--format=%(refname:short)").splitlines()
    remotes = sorted({branch.partition("/")[0] for branch in branches}, key=lambda name: (name != "origin", name))
    return without_password(git("remote", "get-url", remotes[0])) if remotes else None


def without_password(address: str) -> str:
    """The address without credentials: everyone who reaches the server can read it. Workers use their own."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
