"""Run DVC for a flow: all commands in one worker process, whose process group can be ended as a whole."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from flows.dvc_worker import ANSWER, END, GRACE_S
from graft.errors import GraftError
from pipeline.code import ROOT

ERROR = "error:"                # how a stage's error message begins
FAILED = re.compile("failed to reproduce '(.+?)'")
HINTS = ("To track the changes with git", "git add dvc.lock", "To enable auto staging", "dvc config core.autostage",
         "Use `dvc push`", "Updating lock file")       # DVC's hints for a person at a terminal


class Dvc:
    """A context in which DVC commands run. Leaving it ends those that still run."""

    _loaded: list[subprocess.Popen] = []

    @classmethod
    def load(cls) -> None:
        """Start a worker in this folder for the next context: it loads DVC meanwhile. It ends with this process."""
        here = str(Path(sys.executable).parent)
        cls._loaded.append(subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("dvc_worker.py"))],     # -P: this file is not DVC
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": _before(here, "PATH"), "PYTHONPATH": _before(str(ROOT), "PYTHONPATH"),
                 "PYTHONUNBUFFERED": "1"},      # a stage runs this flow's code, whichever folder it runs in
            start_new_session=True,
        ))

    def __enter__(self):
        if not self._loaded:
            self.load()
        self._worker = self._loaded.pop()
        threading.Thread(target=self._end_group, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self._worker.stdin.close()      # an idle worker ends now, a busy one ends its group
        try:
            self._worker.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
        self._worker.stdout.close()

    def _end_group(self) -> None:
        """Once the worker has ended, for whatever reason, kill its stage: nobody waits for its output any more."""
        self._worker.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)

    def run(self, *arguments: str, on_line: Callable[[str], None] = print) -> list[str]:
        """Run a `dvc` command.

        Args:
            arguments: of `dvc`, the stage's name last.
            on_line: called with each line of output at once, up to an error, which is in the exception.

        Returns:
            The lines of its output, without DVC's hints.

        Raises:
            GraftError: if the command fails, with its reason.
        """
        with contextlib.suppress(BrokenPipeError):      # it was killed: raised below
            self._worker.stdin.write(json.dumps(arguments) + "\n")
            self._worker.stdin.flush()
        lines: list[str] = []
        shown = 0
        for line in map(str.rstrip, self._worker.stdout):
            if line.startswith(END):
                _check(arguments, lines, int(line.removeprefix(END)))
                for each in lines[shown:]:
                    on_line(each)
                return lines
            if line.startswith(ANSWER):
                self._answer = json.loads(line.removeprefix(ANSWER))
            elif line and not line.lstrip().startswith(HINTS):
                lines.append(line)
                if shown == len(lines) - 1 and not line.startswith(ERROR):
                    on_line(line)
                    shown += 1
        raise GraftError(f"`dvc {' '.join(arguments)}` was killed. Run the flow again: it resumes where it stopped.")

    def remote(self) -> str | None:
        """The address of the default remote; None if there is none."""
        return self._ask("default-remote")

    def restore(self, stage: str) -> bool:
        """Bring a stage up to date from the run-cache. Returns whether it is up to date; if not, it has to run."""
        return self._ask("restore", stage)

    def plan(self, target: str | None = None) -> list[str]:
        """The names of the stages to run for `target`, in order; without a target, for every stage with dependencies.

        Stages that DVC always runs have already run by then, and are left out: other stages depend on their results.
        """
        return self._ask("plan", *([target] if target else []))

    def sources(self, files: list[str]) -> dict[str, dict]:
        """What the sources of these imports hold, by their listings alone: see `flows.dvc_worker._sources`."""
        return self._ask("sources", *files)

    def _ask(self, *arguments: str):
        """Run one of the worker's own commands and return its answer."""
        self.run(*arguments, on_line=lambda line: None)
        return self._answer


def _before(folder: str, variable: str) -> str:
    """The value of an environment variable with one more folder, at its beginning."""
    return os.pathsep.join([folder, *filter(None, [os.environ.get(variable)])])


def outcome(lines: list[str]) -> str:
    """A stage's outcome according to DVC's output: `ran`, `restored` (from the run-cache) or `unchanged`."""
    if any(line.startswith("Running stage") for line in lines):
        return "ran"
    return "restored" if any("is cached - skipping run" in line for line in lines) else "unchanged"


def _check(arguments: tuple[str, ...], lines: list[str], code: int) -> None:
    """If the command failed, raise the stage's own error message, or else the last lines of DVC's output."""
    if code == 0:
        return
    starts = [place for place, line in enumerate(lines) if line.startswith(ERROR)]
    if not starts:
        raise GraftError(f"`dvc {' '.join(arguments)}` failed:\n" + "\n".join(lines[-5:]))
    ends = [place for place, line in enumerate(lines) if line.startswith("ERROR:")]
    reason = "\n".join(lines[starts[-1] : (ends or [None])[-1]]).removeprefix(ERROR)
    named = next((found[1] for line in lines if (found := FAILED.search(line))), arguments[-1])     # of `plan`, too
    raise GraftError(f"the stage {named} failed: {reason.strip()}")
