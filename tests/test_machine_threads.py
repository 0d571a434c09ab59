"""Reading ahead in order: bounded, errors in their place, and nothing that waits or is kept when it is left."""

import ast
import gc
import threading
import time
import weakref

import fresh
import pytest

from graft.machine.threads import InThreads
from pipeline.code import ROOT

OPENS = {"InThreads", "ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "spread", "Popen", "Thread"}


class Pixels:
    """Something whose end can be seen."""


def settled(threads: int) -> None:
    """Wait until so many threads are left; the test's own time limit ends it."""
    while threading.active_count() > threads:
        time.sleep(0.01)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_the_order_of_the_items(threads, ahead):
    def work(number):
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * number

    with InThreads(work, range(20), threads, ahead) as squares:
        assert list(squares) == [number * number for number in range(20)]
        assert list(squares) == []
    assert list(InThreads(work, [], threads, ahead)) == []


def test_it_is_at_most_so_many_ahead():
    made, taken = [], []
    with InThreads(made.append, (taken.append(number) or number for number in range(10)), threads=1, ahead=2) as items:
        assert taken == []
        next(items)
        time.sleep(0.05)
        assert len(taken) == 3 and len(made) <= 3
        next(items)
        assert len(taken) == 4


def test_an_error_comes_in_its_place_and_ends_it():
    before = threading.active_count()
    with InThreads(lambda number: 1 / number, [2, 1, 0, 1], threads=2, ahead=3) as results:
        assert [next(results), next(results)] == [0.5, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []
    settled(before)


def test_an_error_of_the_items_themselves_is_raised():
    with InThreads(str, iter(lambda: 1 / 0, None)) as results, pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_the_block_cancels_what_has_not_begun_and_waits_for_nothing():
    gate, begun, before = threading.Event(), [], threading.active_count()

    def work(number):
        begun.append(number)
        return number if number == 0 else gate.wait()

    with InThreads(work, range(100), threads=2, ahead=50) as results:
        assert next(results) == 0
    gate.set()
    settled(before)
    assert len(begun) <= 3


def test_then_is_the_same_iterator_over_something_else():
    gate, before = threading.Event(), threading.active_count()
    results = InThreads(lambda number: gate.wait() and number, range(3)).then(lambda numbers: map(str, numbers))
    gate.set()
    assert (next(results), list(results)) == ("0", ["1", "2"])
    settled(before)


def test_one_that_is_dropped_ends_its_threads():
    gate, before = threading.Event(), threading.active_count()
    results = InThreads(lambda number: number and gate.wait(), range(9), threads=3, ahead=5)
    assert next(results) == 0
    del results
    gate.set()
    settled(before)


@pytest.mark.parametrize("fails", ["function", "then"])
def test_a_kept_error_keeps_no_result_and_no_thread(fails):
    """An error keeps the frames it came through, with all that they know."""
    before, pixels = threading.active_count(), [Pixels() for _ in range(9)]
    seen = list(map(weakref.ref, pixels))

    def decode(number):
        if fails == "function" and number == 0:
            raise ValueError("damaged")
        return pixels[number]

    def fail(images):
        for _ in images:
            raise ValueError("no memory")
        yield

    results = InThreads(decode, range(9), threads=1, ahead=8)
    results = results.then(fail) if fails == "then" else results
    with pytest.raises(ValueError) as kept:
        next(results)
    settled(before)
    pixels.clear()
    assert sum(each() is not None for each in seen) <= 1        # the one that the failing code itself held
    assert kept.value


def test_no_cycle_is_left_for_the_collector():
    gc.collect()
    gc.disable()
    try:
        pixels = [Pixels() for _ in range(9)]
        seen = list(map(weakref.ref, pixels))
        results = InThreads(pixels.__getitem__, range(9), threads=1, ahead=8)
        next(results)
        before = threading.active_count() - 1
        del results
        settled(before)
        pixels.clear()
        assert [each() for each in seen] == [None] * 9
    finally:
        gc.enable()


HOLDS = fresh.ABANDONED + """
from graft.machine.threads import InThreads

def fail():
    results = InThreads(lambda number: number and gate.wait(), range(9), threads=3, ahead=5)
    next(results)
    raise ValueError("an error whose traceback knows `results`")

for _ in range(20):
    gate.clear()
    abandoned(fail)
print("ended")
"""
# CPython 3.11 and 3.12 hold a lock of `threading` here: a collector that runs then must neither start nor join a thread
STARTS = """
import gc, threading
from graft.machine.threads import InThreads

gc.disable()
results = InThreads(lambda number: number, range(100), threads=8, ahead=8)
next(results)
cycle = [results]
cycle.append(cycle)
del results, cycle
keep = threading._maintain_shutdown_locks

def collected():
    gc.collect()
    keep()

threading._maintain_shutdown_locks = collected
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
print("ended")
"""


def test_the_collector_may_end_it_where_others_wait_for_this_thread():
    assert fresh.run(HOLDS) == "ended\n"


@pytest.mark.skipif(not hasattr(threading, "_maintain_shutdown_locks"), reason="CPython 3.13 has no such lock")
def test_the_collector_may_end_it_while_a_thread_starts():
    assert fresh.run(STARTS) == "ended\n"


def test_no_generator_opens_threads_or_processes():
    """The collector would run its `finally`, and wait there. What `contextmanager` makes is closed by its `with`."""
    checked = 0
    roots = [ROOT / name for name in ("graft", "pipeline", "tasks", "flows", "starter")]
    for path in (path for root in roots for path in root.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and _is_generator(function) and not _is_context(function):
                checked += 1
                calls = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(function)
                         if isinstance(node, ast.Call)}
                assert not calls & OPENS, f"{path}: {function.name}"
    assert checked > 10


def _is_generator(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))


def _is_context(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(each).endswith("contextmanager") for each in function.decorator_list)
