"""A writer is killed at each of its calls in turn: readers see the old state or the new one, the next writer succeeds.

On Ceph a proxy kills the writer (SIGKILL) before its n-th request is passed on: just after the one before was done. On
a local folder the writer kills itself before its n-th change of the file system.
"""

import os
import signal
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import killed
import pytest
import s3_server
from faults import faulty
from registries import bundle

from graft.registry import gc, history, manifest, promote, publish, pull, rollback, verify
from graft.store import open_store


def ended(process) -> bool:
    """Whether a started process ends by itself, and not by a signal."""
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def kills_local(work: Callable[[int], partial], days: float = 0):
    """Run `work(number)` again and again, killed one change later each time, until it ends by itself."""
    for number in range(1, 200):
        process = killed.process(work(number), days, kill_at=number)
        process.start()
        if ended(process):
            assert number > 2, "it was never killed"
            return
        yield number
    raise AssertionError("it never ended")


def kills_ceph(proxy, work: Callable[[int], partial], days: float = 0):
    """The same at each request, just before the server does it."""
    for number in range(1, 200):
        proxy.requests.clear()
        process = killed.process(work(number), days, AWS_ENDPOINT_URL=proxy.server.url)

        def kill(this: int, number=number, process=process) -> None:
            if this == number:
                os.kill(process.pid, signal.SIGKILL)

        proxy.before = kill
        process.start()
        if ended(process):
            assert number > 2, "it was never killed"
            return
        yield number
    raise AssertionError("it never ended")


@pytest.fixture(params=["local", "ceph"])
def kills(request, tmp_path, monkeypatch):
    """`kills.of(work)` yields after each kill of `work(number)`; `kills.registry` holds two versions."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    if request.param == "local":
        yield prepared(str(tmp_path / "registry"), kills_local)
        return
    address = s3_server.use(monkeypatch, s3_server.radosgw())
    with faulty(s3_server.radosgw()) as proxy:
        yield prepared(address, partial(kills_ceph, proxy))


def prepared(address: str, kills: Callable):
    for seed in (1, 2):
        publish(bundle(seed), "colours", address)
    promote(f"{address}/colours@1")
    return SimpleNamespace(registry=address, of=kills)


def later(monkeypatch) -> None:
    """Turn the clock of both stores on by two days."""
    killed.set_clocks_on(2, monkeypatch.setattr)


def is_sound(address: str) -> bool:
    report = verify(address)
    assert report.is_sound, report.findings
    return True


def test_publish(kills, monkeypatch):
    for _ in kills.of(lambda _: partial(publish, bundle(3), "colours", kills.registry)):
        assert pull(f"{kills.registry}/colours").version == 1
        newest = pull(f"{kills.registry}/colours@latest")
        assert newest.version in (2, 3)
        wanted = bundle(newest.version)
        assert (newest.folder / "unknown.npz").read_bytes() == (wanted / "unknown.npz").read_bytes()
        assert is_sound(kills.registry)
    assert publish(bundle(3), "colours", kills.registry).version == 3
    later(monkeypatch)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_another_publisher_goes_on_after_each_kill(kills, monkeypatch):
    """Here nobody repeats the publication that was killed: whatever it left behind is swept."""
    for number in kills.of(lambda number: partial(publish, bundle(100 + number), "given-up", kills.registry)):
        if manifest.numbers(open_store(kills.registry), "given-up"):
            break                   # from here on it is published
        if number % 4 == 0:
            assert publish(bundle(5), "another", kills.registry).version == 1
    left = [each.what for each in verify(kills.registry).findings]
    assert left.count("no version needs this file") > 2
    later(monkeypatch)
    gc(kills.registry, delete=True)
    assert verify(kills.registry).findings == []


def test_promote(kills):
    for _ in kills.of(lambda _: partial(promote, f"{kills.registry}/colours@2")):
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
    later(monkeypatch)
    for _ in kills.of(lambda _: partial(gc, kills.registry, keep=1, days=0, delete=True), days=2):
        assert is_sound(kills.registry)
        assert pull(f"{kills.registry}/colours").version == 1
        assert pull(f"{kills.registry}/colours@latest").version == 3
    assert gc(kills.registry, keep=1, days=0, delete=True).versions == []
    assert verify(kills.registry).findings == []
    assert publish(bundle(2), "colours", kills.registry).version == 4       # the number 2 is never used again


def test_pull(kills, monkeypatch, tmp_path):
    to = tmp_path / "model"
    pull(f"{kills.registry}/colours@1", to)
    for _ in kills.of(lambda _: partial(pull, f"{kills.registry}/colours@2", to)):
        held = [(to / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
        sources = [[(bundle(seed) / name).read_bytes() for name in ("model.onnx", "model.json", "unknown.npz")]
                   for seed in (1, 2)]
        assert held in sources
    assert (to / "unknown.npz").read_bytes() == (bundle(2) / "unknown.npz").read_bytes()
    assert [path.name for path in tmp_path.glob(".model*")] == []
