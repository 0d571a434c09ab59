"""Every kind of registry that the tests are run on, and the bundles that are published there.

    registry    (fixture) an empty registry's address: a local folder, moto and Ceph in turn
    real        (fixture) the same without moto, which is no real store: for races and faults
    bundle      (fixture) `bundle(seed)`: a small real bundle; another seed is another model
"""

import functools
from pathlib import Path

import pytest
import s3_server
from scratch_folders import scratch_folder

from graft.store import Store, open_store


@pytest.fixture(params=["local", "moto", "ceph"])
def registry(request, tmp_path, monkeypatch) -> str:
    return _open(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=["local", "ceph"])
def real(request, tmp_path, monkeypatch) -> str:
    return _open(request.param, tmp_path, monkeypatch)


@pytest.fixture
def ceph(tmp_path, monkeypatch) -> str:
    return _open("ceph", tmp_path, monkeypatch)


def _open(kind: str, tmp_path: Path, monkeypatch) -> str:
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    if kind == "local":
        return str(tmp_path / "registry")
    return s3_server.use(monkeypatch, s3_server.moto() if kind == "moto" else s3_server.radosgw())


@functools.cache
def bundle(seed: int = 1) -> Path:
    """The same folder each time; never written to."""
    from tiny_bundle import make_bundle  # imports onnx, which not every test needs

    return make_bundle(scratch_folder("bundle-") / "bundle", seed=seed)


def objects(registry: str) -> dict[str, bytes]:
    """All that a registry holds, key -> bytes."""
    store: Store = open_store(registry)
    return {each.key: store.read(each.key, 0, each.size_bytes + 1) for each in store.scan("")}


def overwrite(registry: str, key: str, data: bytes | None) -> None:
    """Change an object behind the registry's back; None removes it."""
    store = open_store(registry)
    store.delete(key) if data is None else store.replace(key, data)
