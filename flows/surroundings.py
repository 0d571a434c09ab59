"""Check what a run needs around it: weights, the registry and the right to write there, disk and memory.

Each check takes at most seconds and changes nothing, except that a registry gets its marker, as by publishing.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from graft.errors import GraftError
from graft.registry.address import REGISTRY_VARIABLE, check_registry
from tasks import artifacts, choices
from tasks.params import PARAMS, read_sections
from tasks.repository import default_registry

LEAST_DISK_BYTES = 500_000_000      # the outputs of a small run, and its copies in DVC's cache
LEAST_MEMORY_BYTES = 1_000_000_000  # TensorFlow and Prefect's server; 25,000 images need 1.4 GB (benchmarks/memory.py)
MEMINFO, LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


def find_problems(publish: bool = True) -> list[str]:
    """Everything around a run that would end it, a message each.

    Args:
        publish: whether the run is to publish, for which it must be able to write to the registry.
    """
    checks: list[Callable[[], None]] = [check_weights, check_disk, check_memory, *[check_registry_rights] * publish]
    problems = []
    for check in checks:
        try:
            check()
        except GraftError as error:
            problems.append(str(error))
    return problems


def check_weights() -> None:
    """Raise `GraftError` if the backbone's weights are not available, unless an earlier run has loaded them."""
    backbone = (read_sections().get("extract") or {}).get("backbone")
    weights = backbone.get("weights") if isinstance(backbone, dict) else None
    if artifacts.BACKBONE_WEIGHTS.exists() or weights in (None, "none", "starter", "dinov2"):
        return
    if weights == "imagenet":
        if not _is_cached(str(backbone.get("name"))) and (problem := choices.why_no_download()):
            raise GraftError(f"{PARAMS}: extract.backbone.weights: ImageNet's weights are not in "
                             f"{choices.keras_models()} and cannot be downloaded ({problem}). Copy Keras's file there, "
                             "or set it to starter, none, a path or an s3:// address.")
    elif not str(weights).startswith("s3://") and not Path(str(weights)).exists():
        raise GraftError(f"{PARAMS}: extract.backbone.weights: there is no file '{weights}'. Expected starter, "
                         "imagenet, dinov2, none, a file or an s3:// address.")


def _is_cached(network: str) -> bool:
    """Whether Keras's cache has weights of a network, without its top."""
    plain = [re.sub(r"[\W_]+", "", file.name.lower()) for file in choices.keras_models().glob("*.h5")]
    return any(network.lower() in name and "notop" in name for name in plain)


def check_disk() -> None:
    """Raise `GraftError` if the project's disk has no room for the outputs of a run."""
    free = shutil.disk_usage(Path.cwd()).free
    if free < LEAST_DISK_BYTES:
        raise GraftError(f"{Path.cwd()}: {free / 1e6:,.0f} MB of the disk are free; a run needs "
                         f"{LEAST_DISK_BYTES / 1e6:,.0f} MB or more. Make room, for example by `dvc gc --workspace`.")


def check_memory() -> None:
    """Raise `GraftError` if the largest stage needs more memory than is available, as far as this system tells."""
    free = min(_available_bytes(), _container_bytes())
    if free < LEAST_MEMORY_BYTES:
        raise GraftError(f"{free / 1e9:.1f} GB of memory are free; a run needs {LEAST_MEMORY_BYTES / 1e9:.1f} GB or "
                         "more. End other programs, or raise the container's limit.")


def _available_bytes() -> float:
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
    except OSError:                     # not Linux
        found = None
    return int(found[1]) * 1024 if found else float("inf")


def _container_bytes() -> float:
    """The container's limit: how much of it is used cannot be told from pages that can be dropped."""
    try:
        limit = LIMIT.read_text().strip()
        return float("inf") if limit == "max" else int(limit)
    except (OSError, ValueError):
        return float("inf")


def check_registry_rights() -> None:
    """Raise `GraftError` if the registry cannot be read, is damaged, or cannot be written to."""
    from graft.registry import log
    from graft.registry.lookup import check_promises
    from graft.store import open_store

    address = check_registry(default_registry())
    if "://" not in address:
        _require_writable(Path(address))
    store = open_store(address)
    name = (read_sections().get("publish") or {}).get("name")
    log.head(store, str(name))
    if "://" in address:
        check_promises(store)


def _require_writable(folder: Path) -> None:
    nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "you may not write there" if nearest.is_dir() else "it is no folder"
        raise GraftError(f"the registry '{folder}' cannot be written: {nearest}: {reason}. Set {REGISTRY_VARIABLE} to "
                         "a folder that you can write to, or to s3://bucket/prefix.")
