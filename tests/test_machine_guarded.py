"""Functions that never end, want all memory or crash: the caller learns of it, and the next call is answered."""

import os
import signal
import threading
import time

import psutil
import pytest
from fresh import run, start

from graft.machine.guarded import Ended, Guarded


def act(how: str, number: int = 0) -> bytes:
    """A function for the processes: what a decoder might do with a hostile file."""
    if how == "spin":
        sum(range(10**12))      # in native code, where no handler of a signal runs
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "grow":
        try:
            bytearray(400_000_000)
        except MemoryError:
            return b"no memory"
    if how == "signals":
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    return str(number).encode()


@pytest.fixture(scope="module")
def guarded():
    guarded = Guarded(act, 2, processor_s=0.2, memory_bytes=100_000_000)
    yield guarded
    guarded.close()


@pytest.mark.parametrize("how", ["spin", "crash"])
def test_a_process_that_is_ended_is_told_and_replaced(guarded, how):
    with pytest.raises(Ended) as told:
        guarded(how)
    assert told.value.__cause__ is None and told.value.__context__ is None or told.value.__suppress_context__
    assert [guarded("answer", number) for number in range(4)] == [b"0", b"1", b"2", b"3"]


def test_memory_has_a_limit(guarded):
    assert guarded("grow") == b"no memory"


def test_signals_to_all_processes_of_the_terminal_end_no_call(guarded):
    assert guarded("signals", 7) == b"7"


def test_closing_ends_a_call_that_is_under_way():
    guarded, ended = Guarded(act, 1, processor_s=1000, memory_bytes=10**9), []

    def call():
        with pytest.raises(Ended):
            guarded("spin")
        ended.append(True)

    thread = threading.Thread(target=call)
    thread.start()
    while not guarded._running:
        time.sleep(0.01)
    guarded.close()
    thread.join()
    assert ended
    with pytest.raises(Ended):
        guarded("answer")


def test_the_processes_end_with_a_caller_that_is_killed():
    program = """
import sys, time
from test_machine_guarded import act
from graft.machine.guarded import Guarded
guarded = Guarded(act, 1, 5, 10**9)
guarded("answer")
print("ready", flush=True)
time.sleep(60)
"""
    process = start(program)
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    gone, alive = psutil.wait_procs(children, timeout=120)
    assert len(gone) >= 1 and not alive


def test_a_caller_that_forgets_to_close_it_ends():
    assert run("""
from test_machine_guarded import act
from graft.machine.guarded import Guarded
guarded = Guarded(act, 1, 5, 10**9)
print(guarded("answer", 7))
""") == "b'7'\n"
