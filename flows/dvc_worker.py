"""The process that runs a flow's DVC commands: it imports DVC once, instead of once per stage.

It reads JSON lists of `dvc` arguments from standard input, one per line, and runs each exactly as the command `dvc`
would. Its output ends with a line of `END` and the exit code. Its own commands answer with a line of `ANSWER` and JSON,
so a warning in the output is never mistaken for an answer. It leads a process group with everything that DVC starts.
If standard input ends while a command runs, the flow is gone, and the worker ends the group.
"""

import contextlib
import gc
import hashlib
import json
import os
import queue
import signal
import sys
import threading
from importlib import import_module

END, ANSWER = "\x1e", "\x1d"    # ASCII's record and group separators: no line of a stage begins with one
GRACE_S = 30                    # for a stage to save its checkpoint after SIGTERM
LOADED = ("dvc.cli.parser", "dvc.parsing.interpolate", "dvc.repo.reproduce", "networkx", "ruamel.yaml", "scmrepo.git")


def main() -> None:
    """Run one command after another until standard input ends."""
    signal.signal(signal.SIGTERM, lambda *_: None)      # meant for the stage, whose end DVC reports
    orders, idle = queue.Queue(), threading.Event()
    idle.set()
    threading.Thread(target=_listen, args=(orders, idle), daemon=True).start()
    gc.disable()
    for module in LOADED:               # while the flow is still imported and checked
        import_module(module)
    gc.freeze()                         # imports leave no garbage
    gc.enable()
    while (arguments := orders.get()) is not None:
        code = _own(*arguments) if arguments[0] in OWN else _dvc(arguments)
        idle.set()
        with contextlib.suppress(BrokenPipeError):
            print(f"{END}{code}", flush=True)
    gc.freeze()                         # the flow waits for the end: no last search for garbage


def _listen(orders: queue.Queue, idle: threading.Event) -> None:
    for line in sys.stdin:
        idle.clear()
        orders.put(json.loads(line))
    if not idle.is_set():
        os.killpg(0, signal.SIGTERM)
        if not idle.wait(GRACE_S):
            os.killpg(0, signal.SIGKILL)
    orders.put(None)


def _own(name: str, *arguments: str) -> int:
    from dvc.exceptions import DvcException

    try:
        answer = OWN[name](*arguments)
    except DvcException as error:
        print(f"ERROR: {error}")
        return 1
    except Exception as error:          # noqa: BLE001  of git or of this machine; the worker lives on
        print(f"ERROR: {type(error).__name__}: {error}")
        return 1
    print(f"{ANSWER}{json.dumps(answer)}")
    return 0


def _dvc(arguments: list[str]) -> int:
    from dvc.cli import main as dvc

    return dvc(arguments)


def _plan(target: str | None = None) -> list[str]:
    """The names of the stages to run for `target`, in DVC's order.

    Without a target, these are all stages that have dependencies, and the stages that they need: a stage without any,
    such as `sample`, only serves others. Stages that DVC always runs are run here and left out, because other stages
    depend on their results.
    """
    from dvc.dependency import ParamsDependency
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    with Repo() as repo:
        wanted = repo.stage.collect(target or "dvc.yaml")
        if not target:
            wanted = [stage for stage in wanted if any(type(dep) is not ParamsDependency for dep in stage.deps)]
        stages = [step for step in plan_repro(repo.index.graph, wanted) if hasattr(step, "name")]
        for stage in stages:
            if stage.always_changed:
                repo.reproduce(stage.name, single_item=True)
        return [stage.name for stage in stages if not stage.always_changed]


def _restore(name: str) -> bool:
    """Restore a stage's outputs from the run-cache or the remote's. Returns whether they were found."""
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError, RunCacheNotSupported

    with Repo() as repo, repo.lock:
        [stage] = repo.stage.collect(name)
        try:
            if stage.changed():
                with contextlib.suppress(RunCacheNotSupported):     # there is no remote
                    repo.stage_cache.pull(None)
                repo.stage_cache.restore(stage, pull=True)
        except RunCacheNotFoundError:
            return False
    return True


def _default_remote() -> str | None:
    """The default remote's address. `dvc remote list` is no source for it: it wraps long lines."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo() as repo:
        name, known = repo.config["core"].get("remote"), repo.config["remote"]
        if name and name not in known:
            raise DvcException(f"core.remote is '{name}', but there is no such remote here. Run `dvc remote add "
                               f"--local {name} ADDRESS`, or `dvc config --unset core.remote`.")
        return known[name]["url"] if name else None


def _sources(*files: str) -> dict[str, dict]:
    """What the sources of imports hold, by their listings: nothing is fetched. `dvc status` leaves imports out.

    Returns:
        The source's address -> its folders, each with the number of its files and a digest of their names and
        versions; or `{"error": reason}`.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        return {str(dep): _listed(dep) for file in files for stage in repo.stage.load_all(file) for dep in stage.deps}


def _listed(dep) -> dict:
    from dvc.dependency.repo import RepoDependency

    try:
        fs = dep._make_fs(locked=False) if isinstance(dep, RepoDependency) else dep.fs
        top = fs.info(dep.fs_path)
        if top["type"] != "directory":
            return {".": _counted({fs.name(dep.fs_path): top}, fs)}
        return {fs.relpath(folder, dep.fs_path): _counted(files, fs)
                for folder, _, files in fs.walk(dep.fs_path, detail=True) if files}
    except Exception as error:          # noqa: BLE001  of a dozen libraries for stores, or of DVC
        return {"error": " ".join([f"{type(error).__name__}:", *str(error).splitlines()[:1]])}


def _counted(files: dict[str, dict], fs) -> list:
    lines = sorted(f"{name} {_version(info, fs)}" for name, info in files.items())
    return [len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]]


def _version(info: dict, fs) -> str:
    """What tells that a file is another one than before: its size, with its tag or hash, else its time or commit."""
    from dvc_data.hashfile.meta import Meta

    meta = Meta.from_info(info, fs.protocol)
    known = [meta.etag, meta.checksum, meta.version_id, (info.get("dvc_info") or {}).get("md5"), meta.mtime]
    commit = fs.repo.get_rev() if hasattr(fs, "repo") else None
    return f"{meta.size} {next(filter(None, [*known, commit]), None)}"


OWN = {"plan": _plan, "restore": _restore, "default-remote": _default_remote, "sources": _sources}  # `dvc` lacks them


if __name__ == "__main__":
    main()
