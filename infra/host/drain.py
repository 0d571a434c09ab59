"""Stops a Prefect worker so that its runs can save their checkpoints.

A process worker of Prefect 3.8 that gets SIGTERM is gone in a second and its runs with it: they save nothing, and the
server goes on to show them as running. So the runs are told first. They save and end, the worker reports them as
crashed, and only then is it told itself. Nothing is killed here: who calls this kills what is left when its patience
ends.
Standard library only, Linux only (/proc): it runs on the host, outside the worker's container.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.2
AGAIN_S = 5.0       # a worker that was started with SIGINT ignored, as by a shell's `&`, ends at the second signal only
REPORT_S = 1.0      # how long a worker gets to report its last run; a run that it starts in this time is told too


def container_pid(container: str) -> int:
    """The process id, on the host, of a container's first process; 0 when it does not run."""
    asked = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
    reply = subprocess.run(asked, capture_output=True, text=True)
    return int(reply.stdout) if reply.returncode == 0 else 0


def children(pid: int) -> list[int]:
    """The processes that `pid` started itself, whichever of its threads did; none when it is gone."""
    try:
        listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in listed for child in text.split()]


def runs(pid: int) -> bool:
    """Whether the process is there and not a zombie that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, signal.SIGTERM)


def drain(worker: int, patience_s: float) -> bool:
    """Tells each flow run of the worker once, then the worker, until it ends. Whether all have within `patience_s`."""
    deadline = time.monotonic() + patience_s
    told, last_seen = set(), time.monotonic() - REPORT_S
    while runs(worker) and time.monotonic() < deadline:
        going = {run for run in children(worker) if runs(run)}
        for run in going - told:
            terminate(run)
        if going:
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen >= REPORT_S:
            terminate(worker)
            last_seen = time.monotonic() + AGAIN_S - REPORT_S
        told |= going
        time.sleep(POLL_S)
    return not any(runs(pid) for pid in told | {worker})


def main() -> int:
    parser = argparse.ArgumentParser(description="Stop a Prefect worker and let its runs save their checkpoints.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--container", help="the worker's container; its first process is an init, the worker its child")
    which.add_argument("--pid", type=int, help="the worker's process id")
    parser.add_argument("--patience", type=float, default=100, help="seconds to wait (default: %(default)s)")
    arguments = parser.parse_args()
    worker = arguments.pid
    if arguments.container:
        worker = next(iter(children(container_pid(arguments.container))), 0)
    if not worker:
        print(f"no worker runs in the container {arguments.container}: nothing to stop", file=sys.stderr)
        return 0
    if drain(worker, arguments.patience):
        return 0
    print(f"the worker {worker} or a run of it has not ended within {arguments.patience:g} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
