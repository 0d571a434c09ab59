"""A command whose lines are stamped with the second they came in: what a stage prints says when its epochs ended."""

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

EPOCH = re.compile(r"epoch (\d+)\b")      # "epoch 3: loss …", at the end of each
STAGE = re.compile(r"stage (\w+)$")       # a recipe of several stages in one process says which one begins


@dataclass(frozen=True)
class Timeline:
    """Attributes:
        seconds: from the start of the process to its end.
        lines: all that it printed, each with its second.
        peak_bytes: the most memory that the process held (resident, the shared pages of files it reads included).
        peak_own_bytes: the same without files' pages, which the system may take back at any time.
    """

    seconds: float
    lines: list[tuple[float, str]]
    peak_bytes: int
    peak_own_bytes: int

    def epochs(self, stage: str | None = None) -> list[float]:
        """Seconds of each epoch but the first of a stage, which also builds and compiles the model."""
        own = self.of_stage(stage) if stage else self.lines
        ends = [second for second, text in own if EPOCH.match(text)]
        return [end - begin for begin, end in zip(ends, ends[1:])]

    def of_stage(self, stage: str) -> list[tuple[float, str]]:
        begin, end = self.bounds(stage)
        return [line for line in self.lines if begin <= line[0] < end]

    def bounds(self, stage: str) -> tuple[float, float]:
        """From the line that says that the stage begins to the next such line."""
        begins = [(second, match[1]) for second, text in self.lines if (match := STAGE.match(text))]
        place = [name for _, name in begins].index(stage)
        return begins[place][0], begins[place + 1][0] if place + 1 < len(begins) else self.seconds


def follow(command: list, label: str, folder: Path | None = None, environment: dict | None = None) -> Timeline:
    """Run a command, show its lines as they come, and stamp them. `python` is this Python.

    Raises:
        RuntimeError: with the last lines, when it fails.
    """
    command = [sys.executable if part == "python" else str(part) for part in command]
    environment = {**(environment or os.environ), "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    own = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, own), daemon=True)
    watcher.start()
    lines = []
    for text in process.stdout:
        lines.append((time.perf_counter() - began, text.rstrip()))
        if EPOCH.match(text) or STAGE.match(text):
            print(f"  {label:>16} {lines[-1][0]:7.1f} s  {text.rstrip()}", flush=True)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n"
                           + "\n".join(text for _, text in lines[-30:]))
    print(f"  {label:>16} {seconds:7.1f} s  done", flush=True)
    return Timeline(seconds, lines, usage.ru_maxrss * 1024, own[0])


def _watch(pid: int, most: list[int]) -> None:
    """The most anonymous memory of a process; Linux only, 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text())
        except OSError:
            return
        if not found:       # it has ended
            return
        most[0] = max(most[0], int(found[1]) * 1024)
        time.sleep(0.05)
