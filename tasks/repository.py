"""This checkout: its folder, its registry and its state in git."""

import os
import subprocess
from pathlib import Path

from graft.errors import GraftError
from graft.registry.address import LOCAL_REGISTRY, REGISTRY_VARIABLE


def project_folder() -> Path:
    """The DVC repository that the current folder is in: the project, with all its models. Without one, this folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def default_registry() -> str:
    """The registry in GRAFT_REGISTRY, otherwise the folder `registry` of the project, which its models share."""
    return os.environ.get(REGISTRY_VARIABLE) or os.path.relpath(project_folder() / LOCAL_REGISTRY)


def git(*arguments: str) -> str:
    """Run a git command and return its output, stripped.

    Raises:
        GraftError: if git is not installed, or fails, with git's message.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except OSError:
        raise GraftError("git is not installed. Install it: DVC and a model's provenance need it.") from None
    except subprocess.CalledProcessError as error:
        raise GraftError(f"`git {' '.join(arguments)}` failed: {error.stderr.strip()}") from None


def state(ignored: list[str]) -> dict:
    """The commit of the code, and whether tracked files differ from it.

    Args:
        ignored: names or patterns of files whose changes do not count, wherever they are.

    Returns:
        `commit` and `dirty`; if git failed, both are None, and `git` is its message.
    """
    try:
        others = [f":(top,exclude,glob)**/{pattern}" for pattern in ignored]
        changes = git("status", "--porcelain", "--untracked-files=no", "--", *others)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changes)}
    except GraftError as error:
        return {"commit": None, "dirty": None, "git": str(error)}
