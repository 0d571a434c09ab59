"""Stops a Prefect worker so that its runs can save their checkpoints.

A process worker of Prefect 3.8 that receives SIGTERM exits within a second and takes its runs with it: they save
nothing, and the server still shows them as running. So the runs receive SIGTERM first. They save and end, the worker
reports them as crashed, and only then receives SIGTERM itself. This program kills nothing: its caller kills what is
left after its patience ends.
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
AGAIN_S = 5.0       # a worker that ignores SIGINT, as one started by a shell's `&`, ends only at the second signal
REPORT_S = 1.0      # for the worker to report its last run; a run that it starts meanwhile receives the signal too


def container_pid(container: str) -> int:
    """The process id, on the host, of a container's first process; 0 if the container does not run."""
    asked = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
    reply = subprocess.run(asked, capture_output=True, text=True)
    return int(reply.stdout) if reply.returncode == 0 else 0


def children(pid: int) -> list[int]:
    """The child processes of all threads of `pid`; none if it has ended."""
    try:
        listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in listed for child in text.split()]


def runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(pid, signal.SIGTERM)


def drain(worker: int, patience_s: float) -> bool:
    """Send SIGTERM once to each flow run of the worker, then to the worker. Returns whether all end in time."""
    deadline = time.monotonic() + patience_s
    signalled, last_seen = set(), time.monotonic() - REPORT_S
    while runs(worker) and time.monotonic() < deadline:
        going = {run for run in children(worker) if runs(run)}
        for run in going - signalled:
            terminate(run)
        if going:
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen >= REPORT_S:
            terminate(worker)
            last_seen = time.monotonic() + AGAIN_S - REPORT_S
        signalled |= going
        time.sleep(POLL_S)
    return not any(runs(pid) for pid in signalled | {worker})


def main() -> int:
    parser = argparse.ArgumentParser(description="Stop a Prefect worker and let its runs save their checkpoints.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--container", help="the worker's container; its first process is an init, its child the worker")
    which.add_argument("--pid", type=int, help="the worker's process id")
    parser.add_argument("--patience", type=float, default=100, help="seconds to wait (default: %(default)s)")
    arguments = parser.parse_args()
    worker = arguments.pid
    if arguments.container:
        worker = next(iter(children(container_pid(arguments.container))), 0)
    if not worker:
        print(f"nothing to stop: the container {arguments.container} runs no worker", file=sys.stderr)
        return 0
    if drain(worker, arguments.patience):
        return 0
    print(f"worker {worker} or one of its runs has not ended within {arguments.patience:g} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
