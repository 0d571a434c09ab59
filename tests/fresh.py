"""Programs that tests run in a fresh interpreter, which has nothing of the tests' threads, locks and open files.

    run(program, *arguments)        what it printed; fails with all that it said, and its stacks when it does not end
    ABANDONED                       begins a program in which the collector runs at each allocation
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
LIMIT_S = 240       # only a program that waits for ever takes so long, on a busy machine, too

ABANDONED = """
import gc, threading, time
gate = threading.Event()        # what other threads wait for, and get when the collector has done its work

def abandoned(action):
    '''Keep an action's error in a cycle, as tracebacks do, and let the collector end whatever it left behind.'''
    before = workers()
    gc.collect()
    gc.set_threshold(1)
    try:
        action()
    except Exception as error:
        kept = [error]
        kept.append(kept)
        del kept
    else:
        raise AssertionError("it raised nothing")
    gc.collect()
    gc.set_threshold(700)
    gate.set()
    gone(before)

def workers():
    return {thread for thread in threading.enumerate() if not thread.daemon}        # tqdm has one that is a daemon

def gone(before):
    '''Wait for all threads to end that were not there before.'''
    while workers() - before:
        time.sleep(0.01)
"""


def start(program: str, *arguments, limit_s: float | None = LIMIT_S, stdin=None, stderr=subprocess.PIPE,
          **environment: str) -> subprocess.Popen:
    """A fresh interpreter that can import the project and the tests' own modules; it prints into a pipe."""
    guard = f"import faulthandler\nfaulthandler.dump_traceback_later({limit_s}, exit=True)\n" if limit_s else ""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, "-c", guard + program, *map(str, arguments)], text=True,
                            stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
                            env={**os.environ, "PYTHONPATH": paths, **environment})


def run(program: str, *arguments, limit_s: float = LIMIT_S, **environment: str) -> str:
    """What the program printed on standard output. Fails when it fails, or when it does not end."""
    process = start(program, *arguments, limit_s=limit_s, **environment)
    printed, errors = process.communicate(timeout=limit_s + 30)
    assert process.returncode == 0, f"exit code {process.returncode}\n{printed}\n{errors}"
    return printed
