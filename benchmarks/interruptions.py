"""Kills and cancels runs at random moments, and looks at what is left: one version of the same bytes, and no process.

    python -m benchmarks.interruptions [--kills 30] [--cancels 20] [--seed 1]

A real server, a real worker and the real flow, on 120 small images. A kill hits the stage, DVC, the flow, the worker or
the server with SIGKILL, or the flow with SIGTERM as a spot notice does, or the server answers nobody for a minute, as
when the network is gone; what was killed is started again, and if the run did not survive, another one is asked for,
once. Then a "second machine", with nothing but the git remote, the DVC remote and the registry, runs the flow as well,
and runs are cancelled.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.prefect_server import Server, end, wait_for
from benchmarks.scratch import Project
from tasks.sample import write_digits

TINY = {
    "data.images": "data/tiny", "publish.name": "tiny", "gate.min_accuracy": 0.0, "gate.min_class_recall": 0.0,
    "extract.backbone.image_size": [32, 32], "extract.views": 1, "transfer.hidden_units": 16, "transfer.epochs": 2,
    "finetune.epochs": 1, "evaluate.bootstrap_draws": 100,
}
VICTIMS = {         # what a process's command line holds
    "stage": "-m tasks.", "dvc": "dvc_worker.py", "flow": "-m prefect.engine",
    "worker": None, "server": None, "network": None, "SIGTERM": "-m prefect.engine",
}
OUTAGE_S = 60
GRACE_S = 45        # for a stage to save and end: flows.dvc_worker.GRACE_S and a little


class Site:
    """A machine with a checkout, a git remote, a DVC remote, a registry, a server and a worker."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, folder / "store"
        self.shared, self.registry = folder / "shared", folder / "registry"
        project = Project(folder / "checkout", **TINY)
        write_digits(folder / "digits", size_px=32)
        for digit in "147":
            for image in sorted((folder / "digits" / digit).iterdir())[:40]:
                target = project.folder / "data/tiny" / digit / image.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, target)
        project.run("dvc", "remote", "add", "--default", "store", str(self.store))
        project.run("dvc", "add", "data/tiny")
        project.run("git", "add", "--all")
        project.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "a")
        self.project, self.server = project, Server(folder / "prefect")
        self.server.create_pool("default")
        self.server.prefect(project.folder, "deploy", "--all")
        self.start_worker()

    def start_worker(self) -> None:
        self.worker = self.server.start_worker("default", GRAFT_SHARED=str(self.shared),
                                               GRAFT_REGISTRY=str(self.registry))

    def forget(self) -> None:
        """As before the first run: only the data are in the DVC remote."""
        for folder in (self.shared, self.registry, self.store):
            shutil.rmtree(folder, ignore_errors=True)
        self.project.run("dvc", "push", "--quiet", "data/tiny.dvc")

    def processes(self, command: str = "") -> list[int]:
        """The runs' processes whose command line holds `command`: those with our folder in their environment."""
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

    def published(self) -> list[dict]:
        """The file hashes of every version."""
        manifests = sorted((self.registry / "models/tiny/versions").glob("*/manifest.json"))
        return [json.loads(path.read_text())["files"] for path in manifests]

    def is_promoted(self) -> bool:
        log = self.registry / "models/tiny/log"
        return log.is_dir() and len(list(log.glob("*.json"))) == 1

    def stop(self) -> None:
        end(self.worker)
        self.server.stop()


def hit(site: Site, victim: str) -> bool:
    """Kill it, start again what does not come back by itself. False when there was nothing to hit."""
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


def kill_once(site: Site, victim: str, after_s: float) -> dict:
    """One run with one kill, and the run after it where there has to be one. What came of it."""
    site.forget()
    run = site.server.start("training/training")
    wait_for(lambda: site.server.state(run) == "RUNNING")
    time.sleep(after_s)
    was_hit = hit(site, victim)
    first = site.server.wait_for_end(run)["state_type"]
    orphans = remaining(site)
    last = first
    if first != "COMPLETED":
        last = site.server.wait_for_end(site.server.start("training/training"))["state_type"]
    return {"victim": victim, "after_s": after_s, "hit": was_hit, "first": first, "last": last, "orphans": orphans}


def remaining(site: Site) -> int:
    """How many processes of runs there are still, after the time that a stage has to save."""
    try:
        wait_for(lambda: not site.processes(), GRACE_S)
    except TimeoutError:
        return len(site.processes())
    return 0


def cancel_once(site: Site, after_s: float) -> dict:
    """A run that is cancelled, unless it has ended before: `state` tells."""
    site.forget()
    run = site.server.start("training/training")
    wait_for(lambda: site.server.state(run) == "RUNNING")
    time.sleep(after_s)
    site.server.cancel(run)
    began = time.monotonic()
    state = site.server.wait_for_end(run)["state_type"]
    return {"state": state, "orphans": remaining(site), "seconds": time.monotonic() - began}


def seconds_to_running(site: Site) -> list[float]:
    """From the moment for which a run was asked to the one in which it ran, of all runs so far."""
    runs = site.server.ask("flow_runs/filter", {"limit": 200})
    times = [(run["expected_start_time"], run["start_time"]) for run in runs if run["start_time"]]
    return [(datetime.fromisoformat(began) - datetime.fromisoformat(asked)).total_seconds() for asked, began in times]


def on_second_machine(site: Site) -> tuple[float, bool]:
    """A run of a worker that shares nothing: its seconds, and whether it restored all and ran nothing."""
    end(site.worker)
    site.shared = site.folder / "second"
    site.start_worker()
    run = site.server.wait_for_end(site.server.start("training/training"))
    log = site.server.log(run["id"])
    restored = run["state_type"] == "COMPLETED" and "Running stage" not in log
    return run["total_run_time"], restored and "is cached - skipping run" in log


def measure(site: Site, kills: int, cancels: int, draw: random.Random) -> None:
    site.forget()
    began = time.monotonic()
    undisturbed = site.server.wait_for_end(site.server.start("training/training"))
    assert undisturbed["state_type"] == "COMPLETED", site.server.log(undisturbed["id"])
    [reference] = site.published()
    whole = undisturbed["total_run_time"]
    print(f"undisturbed run: {time.monotonic() - began:.0f} s from asking to its end\n")
    print("| kill | of | after, s | that run | next run | versions | same bytes | champion | orphans |\n"
          "|---:|---|---:|---|---|---:|---|---|---:|")
    good, victims = 0, []
    for number in range(kills):
        victims = victims or draw.sample(list(VICTIMS), len(VICTIMS))
        row = kill_once(site, victims.pop(), draw.uniform(0, whole))
        versions = site.published()
        same, champion = all(each == reference for each in versions), site.is_promoted()
        good += len(versions) == 1 and same and champion and row["last"] == "COMPLETED" and not row["orphans"]
        following = "" if row["first"] == "COMPLETED" else row["last"]
        print(f"| {number + 1} | {row['victim']}{'' if row['hit'] else ' (was gone)'} | {row['after_s']:.0f} | "
              f"{row['first']} | {following} | {len(versions)} | {'yes' if same else 'NO'} | "
              f"{'yes' if champion else 'NO'} | {row['orphans']} |", flush=True)
    print(f"\n{good} of {kills} kills ended in one promoted version with the undisturbed run's bytes and no orphan")
    seconds, restored = on_second_machine(site)
    print(f"second machine: {'every stage restored, none ran' if restored else 'NOT RESTORED'}, {seconds:.0f} s")
    rows = [cancel_once(site, draw.uniform(0, whole / 2)) for _ in range(cancels)]
    unclean = [row for row in rows if row["state"] != "CANCELLED" or row["orphans"]]
    longest = max((row["seconds"] for row in rows), default=0)
    print(f"{cancels - len(unclean)} of {cancels} cancels ended as cancelled without an orphan, the slowest after "
          f"{longest:.0f} s", *unclean, sep="\n")
    waited = seconds_to_running(site)
    print(f"schedule to running: median {statistics.median(waited):.1f} s, longest {max(waited):.1f} s, "
          f"of {len(waited)} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--cancels", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            measure(site, arguments.kills, arguments.cancels, random.Random(arguments.seed))
        finally:
            site.stop()
            for process in site.processes():
                os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main()
