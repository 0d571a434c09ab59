"""Run a function on bytes of strangers, in processes of their own that are ended at a limit."""

import atexit
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import ModuleType

WALL_SHARE, WALL_S = 6, 15      # a process may take that many times its processor time by the clock, and this at least
PAGES = "/proc/self/statm"
KILL = 9                # the signal; Windows has no name for it


class Ended(Exception):
    """The process was ended: it used up its processor time, or crashed.

    Attributes:
        is_killed: whether somebody else killed it, such as a system that ran out of memory.
    """

    is_killed = False


class Guarded:
    """Runs one function in a fixed number of processes, each of which takes one call after the other.

    A process is a fresh interpreter, as one that is forked from threads may wait for their locks for ever. All begin to
    start at once. One ends when a call takes too long, and with this process, even when that is killed; the next call
    starts another.

    Args:
        function: of a module, which returns bytes: what strangers' bytes may have taken over is not unpickled.
        processes: how many; as many threads may call at once.
        processor_s: processor time in seconds for one call; the start of a process does not count.
        memory_bytes: what a process may take in addition to what it has at its start; Linux alone holds it to this.
        give_way: the processes' niceness, from 0 to 19; not on Windows.
    """

    def __init__(self, function: Callable[..., bytes], processes: int, processor_s: float, memory_bytes: int,
                 give_way: int = 0):
        self._limits = function, processor_s, memory_bytes, give_way
        self._wall_s = max(WALL_S, WALL_SHARE * processor_s)
        self._lock, self._is_closed, self._running = threading.Lock(), False, set[_Process]()
        self._idle: queue.SimpleQueue[_Process | None] = queue.SimpleQueue()
        atexit.register(self.close)     # they ignore the signal by which multiprocessing would end them, and wait
        for _ in range(processes):
            self._idle.put(self._start())

    def __call__(self, *arguments: object) -> bytes:
        """The function's result.

        Raises:
            Ended: if the process was ended, or all are closed.
        """
        process = self._idle.get()
        try:
            process = process or self._start()
            return process.call(arguments, self._wall_s)
        except (EOFError, OSError) as error:
            ended, code, process = Ended(str(error)), self._end(process), None
            ended.is_killed = code == -KILL and not isinstance(error, TimeoutError)
            raise ended from None
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """End all processes at once, whatever they do."""
        atexit.unregister(self.close)
        with self._lock:
            self._is_closed = True
            for each in self._running:
                each.process.kill()

    def _end(self, process: "_Process | None") -> int | None:
        """End a process. Returns its exit code."""
        if not process:
            return None
        with self._lock:
            self._running.discard(process)
        return process.close()

    def _start(self) -> "_Process":
        with self._lock:
            if self._is_closed:
                raise EOFError("closed")
            process = _Process(*self._limits)
            self._running.add(process)
            return process


class _Process:
    """One process and the connection to it."""

    def __init__(self, *limits: object):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        with theirs:
            self.process = context.Process(target=_work, args=(theirs, *limits), daemon=True)
            with _without_program():
                self.process.start()
        self._is_ready = False

    def call(self, arguments: tuple, wall_s: float) -> bytes:
        if not self._is_ready:
            self._connection.recv_bytes()       # it has started, which takes long on a busy machine
            self._is_ready = True
        self._connection.send(arguments)
        if not self._connection.poll(wall_s):
            raise TimeoutError("no answer")
        return self._connection.recv_bytes()

    def close(self) -> int | None:
        self.process.kill()
        self.process.join()
        self._connection.close()
        return self.process.exitcode


@contextmanager
def _without_program() -> Iterator[None]:
    """Let a process that starts not import the program that this one runs, which may take seconds."""
    program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _work(connection: Connection, function: Callable[..., bytes], processor_s: float, memory_bytes: int, give_way: int
          ) -> None:
    """Answer calls until the other end is closed. The signals that end the caller let it answer what is under way."""
    if hasattr(os, "nice"):
        os.nice(give_way)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    limit_memory(memory_bytes)
    with suppress(EOFError, OSError):
        connection.send_bytes(b"")
        while True:
            arguments = connection.recv()
            with processor_time(processor_s):
                result = function(*arguments)
            connection.send_bytes(result)


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """A block in which this process ends at once after so much processor time, in native code, too. Not on Windows."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)       # the signal ends the process: nobody handles it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory(more_bytes: int) -> None:
    """Let this process take no more memory than that, in addition to what it has. Only on Linux."""
    if sys.platform == "linux":
        import resource

        with open(PAGES, encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes,) * 2)
