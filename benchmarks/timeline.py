"""A command whose output lines carry the second at which they were printed, to time a stage's epochs."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

EPOCH = re.compile(r"epoch (\d+)\b")      # "epoch 3: loss …", at the end of each epoch
STAGE = re.compile(r"stage (\w+)$")       # a recipe of several stages in one process prints the name of each


@dataclass(frozen=True)
class Timeline:
    """Attributes:
        seconds: from the start of the process to its end.
        processor_s: user and system time, of its children, too.
        lines: its output, each line with its second.
        peak_bytes: largest resident memory of the process, shared pages of mapped files included.
        peak_own_bytes: the same without pages of files, which the system may take back at any time.
    """

    seconds: float
    processor_s: float
    lines: list[tuple[float, str]]
    peak_bytes: int
    peak_own_bytes: int

    def epochs(self, stage: str | None = None) -> list[float]:
        """Seconds of each epoch of a stage except the first, which also builds and compiles the model."""
        begin, end = self.bounds(stage) if stage else (0, self.seconds)
        ends = [second for second, text in self.lines if begin <= second < end and EPOCH.match(text)]
        return [later - earlier for earlier, later in zip(ends, ends[1:])]

    def bounds(self, stage: str) -> tuple[float, float]:
        """The seconds at which a stage begins and ends."""
        begins = [(second, match[1]) for second, text in self.lines if (match := STAGE.match(text))]
        place = [name for _, name in begins].index(stage)
        return begins[place][0], begins[place + 1][0] if place + 1 < len(begins) else self.seconds


def seconds_of(work) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def follow(command: list, label: str, folder: Path | None = None, environment: dict | None = None) -> Timeline:
    """Run a command with this Python, print its epochs and stages as they come, and time every line.

    Raises:
        RuntimeError: the command failed; the message has its last lines.
    """
    command = [sys.executable if part == "python" else str(part) for part in command]
    environment = {**(environment or os.environ), "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    own = [0]
    threading.Thread(target=_watch, args=(process.pid, own), daemon=True).start()
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
    return Timeline(seconds, usage.ru_utime + usage.ru_stime, lines, usage.ru_maxrss * 1024, own[0])


def _watch(pid: int, most: list[int]) -> None:
    """Record the most anonymous memory of a process, in bytes. Linux only."""
    with contextlib.suppress(psutil.Error):     # it has ended
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            memory = process.memory_info()
            most[0] = max(most[0], memory.rss - memory.shared)
            time.sleep(0.05)
