"""The process in which a flow's DVC commands run: DVC is imported once, not once a stage.

It reads one JSON list of `dvc` arguments a line from standard input, runs it exactly as the command `dvc` would, and
ends its output with a line of `END` and the exit code. It leads a process group of its own, which holds all that DVC
starts. When standard input ends while a command runs, whoever gave the orders is gone: the group is ended.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading

END = "\x1e"                    # ASCII's record separator: no line of a stage begins with it
GRACE_S = 30                    # for a stage to save its checkpoint after SIGTERM


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)      # meant for the stage: DVC reports how that ended
    orders, idle = queue.Queue(), threading.Event()
    idle.set()
    threading.Thread(target=_listen, args=(orders, idle), daemon=True).start()
    while (arguments := orders.get()) is not None:
        code = _own(*arguments) if arguments[0] in OWN else _dvc(arguments)
        idle.set()
        with contextlib.suppress(BrokenPipeError):
            print(f"{END}{code}", flush=True)


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
        return OWN[name](*arguments)
    except DvcException as error:
        print(f"ERROR: {error}")
        return 1


def _dvc(arguments: list[str]) -> int:
    from dvc.cli import main as dvc

    return dvc(arguments)


def _plan(target: str) -> int:
    """Print the names of the stages that make `target`, in the order in which DVC would run them."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    with Repo() as repo:
        steps = plan_repro(repo.index.graph, repo.stage.collect(target))
        print("\n".join(step.name for step in steps if hasattr(step, "name")))
    return 0


def _restore(name: str) -> int:
    """Bring a stage's outputs from the run-cache, the remote's too, and print whether they were there."""
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
            print("it has to run")
        else:
            print("it is there")
    return 0


def _default_remote() -> int:
    """Print its address; `dvc remote list` breaks its lines to fit a terminal."""
    from dvc.repo import Repo

    with Repo() as repo:
        if name := repo.config["core"].get("remote"):
            print(repo.config["remote"][name]["url"])
    return 0


OWN = {"plan": _plan, "restore": _restore, "default-remote": _default_remote}      # what `dvc` itself has not


if __name__ == "__main__":
    main()
