"""DVC as a flow uses it: one worker process for all commands, in a process group that can be ended as a whole."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from flows.dvc_worker import ANSWER, END, GRACE_S
from graft.errors import GraftError

ERROR = "error:"                # how a stage begins the message of its error
HINTS = ("To track the changes with git", "git add dvc.lock", "To enable auto staging", "dvc config core.autostage",
         "Use `dvc push`", "Updating lock file")       # what DVC tells a person at a keyboard


class Dvc:
    """A context in which DVC commands run. On leaving it, whatever of them still runs is ended."""

    def __enter__(self):
        here = str(Path(sys.executable).parent)
        self._worker = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("dvc_worker.py"))],     # -P: this file is not DVC
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": here + os.pathsep + os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        threading.Thread(target=self._end_group, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self._worker.stdin.close()      # an idle worker ends now; a busy one ends its group
        try:
            self._worker.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
        self._worker.stdout.close()

    def _end_group(self) -> None:
        """A stage does not outlive the worker, whatever ended that: it would go on writing what nobody waits for."""
        self._worker.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)

    def run(self, *arguments: str, tell: Callable[[str], None] = print) -> list[str]:
        """Run `dvc` with these arguments, the stage's name last. Returns its output.

        Args:
            tell: is called with each line of output as it comes, up to an error: that is in the exception.

        Raises:
            GraftError: when the command fails, with the reason that it gave.
        """
        with contextlib.suppress(BrokenPipeError):      # it was killed: said below
            self._worker.stdin.write(json.dumps(arguments) + "\n")
            self._worker.stdin.flush()
        lines: list[str] = []
        told = 0
        for line in map(str.rstrip, self._worker.stdout):
            if line.startswith(END):
                _check(arguments, lines, int(line.removeprefix(END)))
                for each in lines[told:]:
                    tell(each)
                return lines
            if line.startswith(ANSWER):
                self._answer = json.loads(line.removeprefix(ANSWER))
            elif line and not line.lstrip().startswith(HINTS):
                lines.append(line)
                if told == len(lines) - 1 and not line.startswith(ERROR):
                    tell(line)
                    told += 1
        raise GraftError(f"`dvc {' '.join(arguments)}` was killed. Run the flow again: it continues where it stood.")

    def remote(self) -> str | None:
        """The address of the default remote; None where there is none."""
        return self._ask("default-remote")

    def restore(self, stage: str) -> bool:
        """Whether a stage is up to date, or was made so from the run-cache; False where it has to run."""
        return self._ask("restore", stage)

    def plan(self, target: str | None = None) -> list[str]:
        """The names of the stages that make `target`, or of all that have a use, in the order in which they run.

        Those that DVC always runs, since others depend on what they find, have run then and are left out.
        """
        return self._ask("plan", *([target] if target else []))

    def _ask(self, *arguments: str):
        """The answer of one of the worker's own commands."""
        self.run(*arguments, tell=lambda line: None)
        return self._answer


def outcome(lines: list[str]) -> str:
    """What became of a stage, read from DVC's own words: ran, restored (from the run-cache) or unchanged."""
    if any(line.startswith("Running stage") for line in lines):
        return "ran"
    return "restored" if any("is cached - skipping run" in line for line in lines) else "unchanged"


def _check(arguments: tuple[str, ...], lines: list[str], code: int) -> None:
    """Raise what the stage itself gave as its error, else the last words of DVC."""
    if code == 0:
        return
    starts = [place for place, line in enumerate(lines) if line.startswith(ERROR)]
    if not starts:
        raise GraftError(f"`dvc {' '.join(arguments)}` failed:\n" + "\n".join(lines[-5:]))
    ends = [place for place, line in enumerate(lines) if line.startswith("ERROR:")]
    reason = "\n".join(lines[starts[-1] : (ends or [None])[-1]]).removeprefix(ERROR)
    raise GraftError(f"the stage {arguments[-1]} failed: {reason.strip()}")
