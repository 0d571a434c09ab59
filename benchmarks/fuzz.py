"""Fuzz every parser of foreign bytes for some time: pictures, tables, parameters, bundles, manifests, logs, HTTP.

    python -m benchmarks.fuzz [--minutes 60]

The properties are those of tests/test_fuzz.py, each in a process of its own with its share of the time. A row for each:
how many inputs, the longest processor time that one took, and by how much the process's memory grew after the first
thousand. What fails is printed with the smallest input that fails.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from graft.errors import GraftError, reported

TESTS = Path(__file__).parent.parent / "tests"
LONGEST_S, HANGS_S, GROWTH_MB, WARM = 10, 300, 100, 1000
ONE = """
import contextlib, faulthandler, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import psutil, test_fuzz
from hypothesis import HealthCheck, Phase, settings
from live_server import live_server
from tiny_bundle import make_bundle

name, seconds = sys.argv[2], float(sys.argv[3])
test, memory = getattr(test_fuzz, name), psutil.Process().memory_info
inner, until = test.hypothesis.inner_test, time.monotonic() + seconds
count, longest, warm = 0, 0.0, 0

class Over(KeyboardInterrupt):
    '''Hypothesis ends at once.'''

def timed(*arguments, **named):
    global count, longest, warm
    if time.monotonic() > until:
        raise Over
    began = time.process_time()
    faulthandler.dump_traceback_later(int(sys.argv[5]), exit=True)
    try:
        return inner(*arguments, **named)
    finally:
        count, longest = count + 1, max(longest, time.process_time() - began)
        warm = warm or (memory().rss if count == int(sys.argv[4]) else 0)

test.hypothesis.inner_test = timed
run = settings(max_examples=2000, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
               suppress_health_check=list(HealthCheck))(test)
needs = inner.__code__.co_varnames[:inner.__code__.co_argcount]
with contextlib.suppress(Over), tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as kept:
    bundle = make_bundle(Path(folder, "model"))
    given = {"bundle": lambda: bundle, "server": lambda: kept.enter_context(live_server(bundle))}
    made = {need: given[need]() for need in needs if need in given}
    while True:         # Hypothesis keeps all inputs of a run
        run(**made)
print(count, longest, (memory().rss - (warm or memory().rss)) / 1e6)
"""


def main() -> None:
    options = begin(__doc__, minutes=60.0)
    names = sorted(line.split("(")[0].removeprefix("def ") for line in (TESTS / "test_fuzz.py").read_text().splitlines()
                   if line.startswith("def test_"))
    print_head("property", "held", "inputs", "longest", "growth")
    failures = [failure for name in names if (failure := _fuzz(name, 60 * options.minutes / len(names)))]
    if failures:
        raise GraftError("\n\n".join(failures))


def _fuzz(name: str, seconds: float) -> str | None:
    """Print the row of a property. Returns what failed, or None."""
    command = [sys.executable, "-c", ONE, TESTS, name, str(seconds), str(WARM), str(HANGS_S)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        print_row(name, "NO", "", "", "")
        return f"{name}:\n{run.stderr[-3000:]}"
    count, longest, growth = map(float, run.stdout.split()[-3:])
    is_held = longest <= LONGEST_S and growth <= GROWTH_MB
    print_row(name.removeprefix("test_").replace("_", " "), "yes" if is_held else "NO", f"{count:,.0f}",
              f"{longest:.1f} s", f"{growth:+.0f} MB")
    return None if is_held else f"{name}: {longest:.1f} s for one input, or {growth:+.0f} MB"


if __name__ == "__main__":
    with reported():
        main()
