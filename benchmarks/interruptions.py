"""Kills and cancels runs at random moments. Each must end in one version with the same bytes, and leave no process.

    python -m benchmarks.interruptions [--kills 30] [--cancels 20] [--seed 1]

A real server, a real worker and the real flow, on 120 small images. A kill sends SIGKILL to the stage, DVC, the flow,
the worker or the server, or SIGTERM to the flow as a spot notice does, or stops the server for a minute, as if the
network were down. Whatever was killed is started again; if the run is lost, one more run is started. Then the flow runs
on a "second machine" that shares only the git remote, the DVC remote and the registry, and runs are cancelled.
"""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.prefect_server import Server
from benchmarks.processes import end, wait_for
from benchmarks.scratch import TINY, Project, write_some_digits
from graft.errors import reported

VICTIMS = {         # part of the process's command line
    "stage": "-m tasks.", "dvc": "dvc_worker.py", "flow": "-m prefect.engine",
    "worker": None, "server": None, "network": None, "SIGTERM": "-m prefect.engine",
}
OUTAGE_S = 60
GRACE_S = 45        # for a stage to save and end: a little more than flows.dvc_worker.GRACE_S


class Site:
    """A machine with a checkout, a git remote, a DVC remote, a registry, a server and a worker."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, folder / "store"
        self.shared, self.registry = folder / "shared", folder / "registry"
        self.project = project = Project(folder / "checkout", **TINY)
        write_some_digits(project.folder / "data/tiny", "147", images=40, size_px=32)
        project.run("dvc", "remote", "add", "--default", "store", str(self.store))
        project.run("dvc", "add", "data/tiny")
        project.run("git", "add", "--all")
        project.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "a")
        self.server = Server(folder / "prefect")
        self.server.create_pool("default")
        self.server.prefect(project.folder, "deploy", "--all")
        self.start_worker()

    def start_worker(self) -> None:
        self.worker = self.server.start_worker("default", GRAFT_SHARED=str(self.shared),
                                               GRAFT_REGISTRY=str(self.registry))

    def start_run(self) -> str:
        return self.server.start("training/training")

    def start_and_interrupt(self, after_s: float) -> str:
        """Forget earlier runs, start one and wait until it has run for some seconds. Returns its id."""
        self.forget()
        run = self.start_run()
        wait_for(lambda: self.server.state(run) == "RUNNING")
        time.sleep(after_s)
        return run

    def forget(self) -> None:
        """Return to the state before the first run: the DVC remote holds only the data."""
        for folder in (self.shared, self.registry, self.store):
            shutil.rmtree(folder, ignore_errors=True)
        self.project.run("dvc", "push", "--quiet", "data/tiny.dvc")

    def processes(self, command: str = "") -> list[int]:
        """Processes of runs, recognised by our folder in their environment, whose command line contains `command`."""
        mark, found = f"GRAFT_SHARED={self.folder}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.worker.pid:
                try:
                    environment, words = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if mark in environment and command in words.replace(b"\0", b" ").decode(errors="replace"):
                    found.append(int(entry.name))
        return found

    def orphans(self) -> int:
        """The number of processes of runs that remain after the time that a stage has to save."""
        try:
            wait_for(lambda: not self.processes(), GRACE_S)
        except TimeoutError:
            return len(self.processes())
        return 0

    def published(self) -> list[dict]:
        """The file hashes of every version."""
        manifests = sorted((self.registry / "models/tiny/versions").glob("*/manifest.json"))
        return [json.loads(path.read_text())["files"] for path in manifests]

    def is_promoted(self) -> bool:
        return len(list((self.registry / "models/tiny/log").glob("*.json"))) == 1

    def stop(self) -> None:
        end(self.worker)
        self.server.stop()


def hit(site: Site, victim: str) -> bool:
    """Kill the victim and restart what does not come back by itself. Returns False if the victim had ended."""
    if victim == "server":
        site.server.process.kill()
        site.server.process.wait()
        time.sleep(5)
        site.server.start_process()
    elif victim == "network":
        site.server.process.send_signal(signal.SIGSTOP)
        time.sleep(OUTAGE_S)
        site.server.process.send_signal(signal.SIGCONT)
    elif victim == "worker":
        site.worker.kill()
        site.worker.wait()
        site.start_worker()
    else:
        found = site.processes(VICTIMS[victim])
        for process in found[:1]:
            os.kill(process, signal.SIGTERM if victim == "SIGTERM" else signal.SIGKILL)
        return bool(found)
    return True


def kill_once(site: Site, victim: str, after_s: float, reference: dict) -> tuple[bool, list]:
    """One run with one kill, and a second run if the first is lost. Returns whether all is well, and a table row."""
    run = site.start_and_interrupt(after_s)
    was_hit = hit(site, victim)
    first = site.server.wait_for_end(run)["state_type"]
    orphans, following = site.orphans(), ""
    if first != "COMPLETED":
        following = site.server.wait_for_end(site.start_run())["state_type"]
    versions, promoted = site.published(), site.is_promoted()
    same = all(each == reference for each in versions)
    good = len(versions) == 1 and same and promoted and (following or first) == "COMPLETED" and not orphans
    return good, [victim if was_hit else f"{victim} (had ended)", f"{after_s:.0f}", first, following, len(versions),
                  "yes" if same else "NO", "yes" if promoted else "NO", orphans]


def cancel_once(site: Site, after_s: float) -> dict:
    """A run that is cancelled, unless it ends first: see `state`."""
    run = site.start_and_interrupt(after_s)
    site.server.cancel(run)
    began = time.monotonic()
    state = site.server.wait_for_end(run)["state_type"]
    return {"state": state, "orphans": site.orphans(), "seconds": time.monotonic() - began}


def on_second_machine(site: Site) -> tuple[float, bool]:
    """A run of a worker that shares nothing: its seconds, and whether it restored every stage and ran none."""
    end(site.worker)
    site.shared = site.folder / "second"
    site.start_worker()
    run = site.server.wait_for_end(site.start_run())
    log = site.server.log(run["id"])
    restored = run["state_type"] == "COMPLETED" and "Running stage" not in log
    return run["total_run_time"], restored and "is cached - skipping run" in log


def run_undisturbed(site: Site) -> tuple[float, dict]:
    """Seconds of an undisturbed run, and the file hashes of its version."""
    site.forget()
    began = time.monotonic()
    run = site.server.wait_for_end(site.start_run())
    assert run["state_type"] == "COMPLETED", site.server.log(run["id"])
    print(f"undisturbed run: {time.monotonic() - began:.0f} s from its request to its end\n")
    [reference] = site.published()
    return run["total_run_time"], reference


def measure(site: Site, kills: int, cancels: int, draw: random.Random) -> None:
    whole, reference = run_undisturbed(site)
    print_head("kill", "of", "after, s", "that run", "next run", "versions", "same bytes", "champion", "orphans")
    good, victims = 0, []
    for number in range(1, kills + 1):
        victims = victims or draw.sample(list(VICTIMS), len(VICTIMS))
        is_good, row = kill_once(site, victims.pop(), draw.uniform(0, whole), reference)
        print_row(number, *row)
        good += is_good
    print(f"\n{good} of {kills} kills ended in one promoted version with the undisturbed run's bytes and no orphan")
    seconds, restored = on_second_machine(site)
    print(f"second machine: {'every stage restored, none ran' if restored else 'NOT RESTORED'}, {seconds:.0f} s")
    rows = [cancel_once(site, draw.uniform(0, whole / 2)) for _ in range(cancels)]
    unclean = [row for row in rows if row["state"] != "CANCELLED" or row["orphans"]]
    slowest = max((row["seconds"] for row in rows), default=0)
    print(f"{cancels - len(unclean)} of {cancels} cancels ended as cancelled without an orphan, the slowest after "
          f"{slowest:.0f} s", *unclean, sep="\n")


def main() -> None:
    options = begin(__doc__, kills=30, cancels=20, seed=1)
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            measure(site, options.kills, options.cancels, random.Random(options.seed))
        finally:
            site.stop()
            for process in site.processes():
                os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    with reported():
        main()
