"""An ordered map over many images on a Ray cluster. This is the only file that imports Ray.

Ray's own environment variable is the only setting; without it, nothing here is used:

    RAY_ADDRESS=auto                    the cluster that this machine belongs to
    RAY_ADDRESS=HOST:6379               the same cluster, by the address of its head
    RAY_ADDRESS=ray://HOST:10001        a cluster that this machine does not belong to

This machine reads the files and writes the results. Workers receive the bytes of the images, the weights, and the code
of `graft` and `pipeline`. They need the locked Python environment and nothing else: no clone, no shared folder, no
credentials. Images in S3 they read themselves, by signed links: they must reach the store.
"""

import functools
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from graft.errors import GraftError, as_value
from graft.images import UnreadableImage, read_bytes
from pipeline.cluster.links import Link
from pipeline.image_folder import S3Path

AHEAD = 2       # chunks sent per worker, so that the next one is there when a worker has finished one
RETRIES = 10    # of a chunk whose worker was lost: Ray's 3 end a run on machines that are often taken away
PACKAGES = ("keras", "numpy", "onnxruntime", "opencv-python-headless", "openvino", "pillow", "scipy", "tensorflow",
            "tensorflow-cpu")       # other versions of these may give other results
ONLY_CODE = ["/*", "!/.", "!/graft", "!/pipeline"]       # what not to send of the project's folder, as in a .gitignore
OR_HERE = "or unset RAY_ADDRESS to compute on this machine."


def on_cluster() -> bool:
    """Whether RAY_ADDRESS is set."""
    return bool(os.environ.get("RAY_ADDRESS"))


def sendable(source: Path | S3Path) -> bytes | Link | UnreadableImage:
    """What `graft.images.read_bytes` takes on a worker: the bytes of a file, the link to an object, or the reason why a
    file cannot be read.
    """
    return Link(source.link()) if isinstance(source, S3Path) else content(source)


def content(source, read: Callable = read_bytes) -> bytes | UnreadableImage:
    """Read a file to send it to another process.

    Returns:
        Its bytes, or the reason why it cannot be read. `graft.images.read_bytes` takes either.
    """
    try:
        return read(source)
    except UnreadableImage as reason:
        return as_value(reason)


@contextmanager
def spread(open_worker: Callable, chunks: Iterable, whole_machine: bool = False, gpu: bool = False) -> Iterator:
    """Open an iterator over the results of chunks that the workers of the cluster process, in order.

    Chunks of a lost worker are redone. Leaving the block disconnects from the cluster, which ends what still runs.


    Args:
        open_worker: called once in each worker; returns a function that is then called with one chunk at a time. It is
            sent to the workers with everything it refers to.
        chunks: taken as workers become free.
        whole_machine: whether a worker computes on all cores of its machine, instead of on one.
        gpu: give each worker a GPU of its own, if the cluster has any.

    Raises:
        GraftError: if there is no such cluster, its workers have other packages than this machine, or lose the work.
    """
    ray = _connected()
    try:
        yield _in_order(ray, [ray.put((open_worker, _versions()))], chunks, whole_machine, gpu)
    except ray.exceptions.RayError as error:
        raise _cause(error) from None
    finally:
        ray.shutdown()      # to cancel task by task can crash this process


def _in_order(ray, work: list, chunks: Iterable, whole_machine: bool, gpu: bool) -> Iterator:
    """`work` is in a list so that it is sent once to each worker, not with each chunk."""
    chunks, waiting = iter(chunks), deque()
    while True:
        needs, workers = _places(ray.nodes(), whole_machine, gpu)       # the cluster may have grown meanwhile
        task = ray.remote(_work).options(**needs, max_retries=RETRIES)
        waiting.extend(task.remote(work, chunk) for chunk in islice(chunks, max(0, AHEAD * workers - len(waiting))))
        if not waiting:
            return
        result = ray.get(waiting[0])
        waiting.popleft()
        yield result


def _connected():
    """The module `ray`, connected to the cluster."""
    address = os.environ["RAY_ADDRESS"]
    try:
        import ray
    except ImportError:
        raise GraftError(f"RAY_ADDRESS is '{address}', but Ray is not installed here: install the group 'ray' of "
                         f"pyproject.toml, {OR_HERE}") from None
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _answers(address)
        ray.init(address, log_to_driver=False, logging_level="ERROR",
                 runtime_env={"working_dir": str(Path(__file__).parents[2]), "excludes": ONLY_CODE})
    except Exception as error:          # ConnectionError, RuntimeError, ValueError …, depending on Ray's version
        raise GraftError(f"RAY_ADDRESS is '{address}', but this cluster cannot be used: {error}\n"
                         f"Start one with `ray start --head`, {OR_HERE}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)      # Ray has replaced it with its own
    return ray


def _answers(address: str) -> None:
    """Raise `OSError` if nothing listens there; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _places(nodes: list[dict], whole_machine: bool, gpu: bool) -> tuple[dict, int]:
    """What one worker needs, as options of a Ray task, and how many such workers fit into the cluster, at least 1."""
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = int(sum(each.get("GPU", 0) for each in resources))
    if gpu and gpus:
        return {"num_cpus": 1, "num_gpus": 1}, gpus
    cores = [int(each["CPU"]) for each in resources if each.get("CPU", 0) >= 1]
    each_needs = min(cores, default=1) if whole_machine else 1
    return {"num_cpus": each_needs}, max(1, sum(count // each_needs for count in cores))


def _work(work: list, chunk):
    """Process one chunk, in a worker."""
    return _opened(work[0])(chunk)


@functools.lru_cache(maxsize=1)
def _opened(work) -> Callable:
    import ray

    open_worker, versions = ray.get(work)
    theirs = _versions()
    if theirs != versions:
        differences = [f"{name} {theirs[name]} instead of {versions[name]}"
                       for name in PACKAGES if theirs[name] != versions[name]]
        raise GraftError(f"the Ray worker on {socket.gethostname()} has {', '.join(differences)}, so its results might "
                         "differ. Install the same requirements on all machines of the cluster.")
    return open_worker()


def _versions() -> dict[str, str | None]:
    found = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cause(error: Exception) -> Exception:
    """The error that a worker raised, or else that workers were lost."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return cause
    return GraftError(f"the Ray cluster at {os.environ['RAY_ADDRESS']} lost the work: {error}")
