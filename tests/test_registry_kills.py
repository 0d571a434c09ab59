"""A writer is killed at each of its calls in turn: readers see the old state or the new one, the next writer succeeds.

On Ceph a proxy kills the writer (SIGKILL) before its n-th request is passed on: just after the one before was done. On
a local folder the writer kills itself before its n-th change of the file system.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta

import fresh
import pytest
import s3_server
from faults import faulty
from registries import bundle

from graft import store
from graft.registry import gc, history, manifest, promote, publish, pull, rollback, verify
from graft.store import open_store, s3

# forks for each order, a call of `graft.registry`: it starts in no time, and the registry alone changes files, as
# everything has been imported
WRITERS = """
import faulthandler, json, os, signal, sys, traceback
import boto3, tqdm
import graft.registry.transfer
from fresh import LIMIT_S
from graft import registry
from test_registry_kills import turn_clock

CHANGES = ("os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")

def kill_at_change(left):
    '''Die just before the change of the file system of this number; never when it is 0.'''
    def hook(event, arguments):
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)

def work(environment, change, days, name, arguments, options):
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    os.environ.update(environment)
    turn_clock(days)
    kill_at_change(change)
    getattr(registry, name)(*arguments, **options)

for order in sys.stdin:
    if not (writer := os.fork()):
        try:
            work(*json.loads(order))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(writer, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def writers():
    """The process that forks writers. It has one thread alone; what a writer says is among what the test said."""
    with fresh.start(WRITERS, limit_s=None, stderr=None, stdin=subprocess.PIPE, PYTHONDONTWRITEBYTECODE="1",
                     OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1") as process:
        yield process
        process.stdin.close()


class Kills:
    """Lets a writer be killed again and again, one change later each time, until it ends by itself.

    Attributes:
        registry: holds two versions of a model; the first is the champion.
        days: by how much the writer's clock is ahead.
    """

    def __init__(self, registry: str, writers: subprocess.Popen, proxy=None):
        self.registry, self.days, self._writers, self._proxy = registry, 0, writers, proxy
        for seed in (1, 2):
            publish(bundle(seed), "colours", registry)
        promote(f"{registry}/colours@1")

    def __call__(self, work: Callable[[], tuple]) -> Iterator[int]:
        """Yield after each kill. `work` gives a function's name in `graft.registry`, its arguments and its options."""
        for number in range(1, 200):
            code = self._run_behind_proxy(number, work) if self._proxy else self._run(number, work)
            if code != -signal.SIGKILL:
                assert code == 0
                assert number > 2, "it was never killed"
                return
            yield number
        raise AssertionError("it never ended")

    def _run(self, change: int, work: Callable[[], tuple], started: Callable = lambda writer: None, **environment):
        """The exit code of a writer."""
        name, *arguments, options = work()
        own = {each: os.environ[each] for each in os.environ if each.startswith(("AWS_", "GRAFT_"))} | environment
        print(json.dumps([own, change, self.days, name, arguments, options], default=str), file=self._writers.stdin,
              flush=True)
        started(int(self._writers.stdout.readline()))
        return int(self._writers.stdout.readline())

    def _run_behind_proxy(self, request: int, work: Callable[[], tuple]) -> int:
        """The proxy kills the writer at its request of this number, just before the server does it."""
        writer = Future()
        self._proxy.requests.clear()
        self._proxy.before = lambda number: number == request and os.kill(writer.result(), signal.SIGKILL)
        return self._run(0, work, writer.set_result, AWS_ENDPOINT_URL=self._proxy.server.url)


@pytest.fixture(params=["local", "ceph"])
def kills(request, tmp_path, monkeypatch, writers):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    if request.param == "local":
        yield Kills(str(tmp_path / "registry"), writers)
        return
    address = s3_server.use(monkeypatch, s3_server.radosgw())
    with faulty(s3_server.radosgw()) as proxy:
        yield Kills(address, writers, proxy)


def turn_clock(days: float, patch: Callable = setattr) -> None:
    """Turn the clock of both stores on."""
    for kind in (store.LocalStore, s3.S3Store):
        real = kind.now
        patch(kind, "now", lambda self, real=real: real(self) + timedelta(days=days))


def is_sound(address: str) -> bool:
    report = verify(address)
    assert report.is_sound, report.findings
    return True


def test_publish(kills, monkeypatch):
    for _ in kills(lambda: ("publish", bundle(3), "colours", kills.registry, {})):
        assert pull(f"{kills.registry}/colours").version == 1
        newest = pull(f"{kills.registry}/colours@latest")
        assert newest.version in (2, 3)
        wanted = bundle(newest.version)
        assert (newest.folder / "unknown.npz").read_bytes() == (wanted / "unknown.npz").read_bytes()
        assert is_sound(kills.registry)
    assert publish(bundle(3), "colours", kills.registry).version == 3
    turn_clock(2, monkeypatch.setattr)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_another_publisher_goes_on_after_each_kill(kills, monkeypatch):
    """Here nobody repeats the publication that was killed: whatever it left behind is swept."""
    seed = [100]
    for number in kills(lambda: ("publish", bundle(seed[0]), "given-up", kills.registry, {})):
        seed[0] = 100 + number
        if manifest.numbers(open_store(kills.registry), "given-up"):
            break                   # from here on it is published
        if number % 4 == 0:
            assert publish(bundle(5), "another", kills.registry).version == 1
    left = [each.what for each in verify(kills.registry).findings]
    assert left.count("no version needs this file") > 2
    turn_clock(2, monkeypatch.setattr)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_promote(kills):
    for _ in kills(lambda: ("promote", f"{kills.registry}/colours@2", {})):
        entries = history(f"{kills.registry}/colours")
        assert [entry.version for entry in entries] in ([1], [1, 2])
        assert pull(f"{kills.registry}/colours").version == entries[-1].version
        assert is_sound(kills.registry)
        if len(entries) == 2:
            break                   # it is promoted: from here on there is nothing to do
    promote(f"{kills.registry}/colours@2")
    assert rollback(f"{kills.registry}/colours").version == 1
    assert [entry.version for entry in history(f"{kills.registry}/colours")] == [1, 2, 1]
    assert verify(kills.registry).findings == []


def test_gc(kills, monkeypatch):
    publish(bundle(3), "colours", kills.registry)
    turn_clock(2, monkeypatch.setattr)
    kills.days = 2
    for _ in kills(lambda: ("gc", kills.registry, {"keep": 1, "days": 0, "delete": True})):
        assert is_sound(kills.registry)
        assert pull(f"{kills.registry}/colours").version == 1
        assert pull(f"{kills.registry}/colours@latest").version == 3
    assert gc(kills.registry, keep=1, days=0, delete=True).versions == []
    assert verify(kills.registry).findings == []
    assert publish(bundle(2), "colours", kills.registry).version == 4       # the number 2 is never used again


def test_pull(kills, monkeypatch, tmp_path):
    to = tmp_path / "model"
    pull(f"{kills.registry}/colours@1", to)
    killed = []
    for number in kills(lambda: ("pull", f"{kills.registry}/colours@2", to, {})):
        killed.append(number)
        held = [(to / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
        sources = [[(bundle(seed) / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
                   for seed in (1, 2)]
        assert held in sources
    assert len(killed) > 2
    assert (to / "unknown.npz").read_bytes() == (bundle(2) / "unknown.npz").read_bytes()
    assert [path.name for path in tmp_path.glob(".model*")] == []
