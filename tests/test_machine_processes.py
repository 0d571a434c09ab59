"""Reading ahead by processes: in order, and none is left, however the block or this process ends."""

import multiprocessing
import time
from concurrent.futures.process import BrokenProcessPool

import fresh
import pytest

from graft.machine.processes import in_processes

OTHERS: set = set()


def reciprocal(number: int) -> float:
    return 1 / number


@pytest.fixture(autouse=True, scope="module")
def others():
    """The processes of other tests, such as those in which a server decodes."""
    OTHERS.update(multiprocessing.active_children())


def gone() -> None:
    """Wait until no process of these tests is left; the test's own time limit ends it."""
    while own_children():
        time.sleep(0.01)


def own_children() -> set:
    return set(multiprocessing.active_children()) - OTHERS


def test_results_come_in_the_order_of_the_items():
    with in_processes(abs, range(-50, 0), 3) as results:
        assert list(results) == list(range(50, 0, -1))
    gone()


def test_an_error_comes_in_its_place():
    with in_processes(reciprocal, [2, 1, 0, 1], 2) as results:
        assert [next(results), next(results)] == [0.5, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)
    gone()


def test_leaving_the_block_ends_what_runs():
    with in_processes(time.sleep, [0, *[10_000] * 20], 2) as results:
        next(results)
    gone()


def test_a_process_that_is_killed_is_an_error():
    with in_processes(time.sleep, [0, *[10_000] * 20], 2) as results:
        next(results)
        for process in own_children():
            process.kill()
        with pytest.raises(BrokenProcessPool):
            list(results)
    gone()


IDLE = """
import time
from graft.machine.processes import in_processes

with in_processes(abs, range(3), 2) as results:
    print(list(results), flush=True)
    time.sleep(600)
"""


def test_they_end_with_a_parent_that_is_killed(tmp_path):
    killed = fresh.start(IDLE, TMPDIR=str(tmp_path))
    assert killed.stdout.readline() == "[0, 1, 2]\n"
    killed.kill()
    killed.communicate(timeout=60)      # ends when nobody holds its standard output any more
