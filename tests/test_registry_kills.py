"""A writer is killed at each of its calls in turn: readers see the old state or the new one, the next writer succeeds.

On Ceph a proxy kills the writer (SIGKILL) before its n-th request is passed on: just after the one before was done. On
a local folder the writer kills itself before its n-th change of the file system.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
import s3_server
from faults import faulty
from registries import bundle

from graft import store
from graft.registry import gc, history, manifest, promote, publish, pull, rollback, verify
from graft.store import open_store, s3

CHANGES = ("os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def in_child(work: Callable[[], object], prepare: Callable[[], None] = lambda: None) -> int | None:
    """Run `work` in a child process: its exit code, or None when it was killed."""
    child = os.fork()
    if child == 0:
        try:
            prepare()
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def kill_at_change(number: int) -> None:
    """Let this process die just before its `number`-th change of the file system. There is no way back."""
    left = [number]

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kills_local(work: Callable[[], object]):
    """Run `work` again and again, killed one change later each time, until it ends by itself."""
    for number in range(1, 200):
        code = in_child(work, lambda number=number: kill_at_change(number))
        if code is not None:
            assert code == 0
            assert number > 2, "it was never killed"
            return
        yield number
    raise AssertionError("it never ended")


def kills_ceph(work: Callable[[], object], proxy):
    """The same at each request, just before the server does it."""
    for number in range(1, 200):
        proxy.requests.clear()
        proxy.before = lambda number: None
        child = os.fork()
        if child == 0:
            os.environ["AWS_ENDPOINT_URL"] = proxy.server.url
            try:
                work()
            finally:
                os._exit(0)

        def kill(this: int, number=number, child=child) -> None:
            if this == number:
                os.kill(child, signal.SIGKILL)

        proxy.before = kill
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            assert number > 2, "it was never killed"
            return
        yield number
    raise AssertionError("it never ended")


@pytest.fixture(params=["local", "ceph"])
def kills(request, tmp_path, monkeypatch):
    """`kills(work)` yields after each kill; `kills.registry` holds two versions, the first is the champion."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    if request.param == "local":
        yield prepared(str(tmp_path / "registry"), kills_local)
        return
    address = s3_server.use(monkeypatch, s3_server.radosgw())
    with faulty(s3_server.radosgw()) as proxy:
        yield prepared(address, lambda work: kills_ceph(work, proxy))


def prepared(address: str, kills: Callable):
    for seed in (1, 2):
        publish(bundle(seed), "colours", address)
    promote(f"{address}/colours@1")
    kills.registry = address
    return kills


def later(monkeypatch, days: float) -> None:
    """Turn the clock of both stores on."""
    for kind in (store.LocalStore, s3.S3Store):
        real = kind.now
        monkeypatch.setattr(kind, "now", lambda self, real=real: real(self) + timedelta(days=days))


def is_sound(address: str) -> bool:
    report = verify(address)
    assert report.is_sound, report.findings
    return True


def test_publish(kills, monkeypatch):
    for _ in kills(lambda: publish(bundle(3), "colours", kills.registry)):
        assert pull(f"{kills.registry}/colours").version == 1
        newest = pull(f"{kills.registry}/colours@latest")
        assert newest.version in (2, 3)
        wanted = bundle(newest.version)
        assert (newest.folder / "unknown.npz").read_bytes() == (wanted / "unknown.npz").read_bytes()
        assert is_sound(kills.registry)
    assert publish(bundle(3), "colours", kills.registry).version == 3
    later(monkeypatch, days=2)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_another_publisher_goes_on_after_each_kill(kills, monkeypatch):
    """Here nobody repeats the publication that was killed: whatever it left behind is swept."""
    seed = [100]
    for number in kills(lambda: publish(bundle(seed[0]), "given-up", kills.registry)):
        seed[0] = 100 + number
        if manifest.numbers(open_store(kills.registry), "given-up"):
            break                   # from here on it is published
        if number % 4 == 0:
            assert publish(bundle(5), "another", kills.registry).version == 1
    left = [each.what for each in verify(kills.registry).findings]
    assert left.count("no version needs this file") > 2
    later(monkeypatch, days=2)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_promote(kills):
    for _ in kills(lambda: promote(f"{kills.registry}/colours@2")):
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
    later(monkeypatch, days=2)
    for _ in kills(lambda: gc(kills.registry, keep=1, days=0, delete=True)):
        assert is_sound(kills.registry)
        assert pull(f"{kills.registry}/colours").version == 1
        assert pull(f"{kills.registry}/colours@latest").version == 3
    assert gc(kills.registry, keep=1, days=0, delete=True).versions == []
    assert verify(kills.registry).findings == []
    assert publish(bundle(2), "colours", kills.registry).version == 4       # the number 2 is never used again


def test_pull(kills, monkeypatch, tmp_path):
    to = tmp_path / "model"
    pull(f"{kills.registry}/colours@1", to)
    number = [0]

    def work() -> None:
        pull(f"{kills.registry}/colours@2", to)

    for number[0] in kills(work):
        held = [(to / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
        sources = [[(bundle(seed) / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
                   for seed in (1, 2)]
        assert held in sources
    assert number[0] > 2
    assert (to / "unknown.npz").read_bytes() == (bundle(2) / "unknown.npz").read_bytes()
    assert [path.name for path in tmp_path.glob(".model*")] == []
