"""onnxruntime-web, which runs an ONNX model in a browser: one file of npm's registry, fetched once and checked.

It has 33 MB and is of use to few, so it is no part of this package. A page gets its smallest build that runs every
model: WebAssembly, 14 MB, in one thread, since more need headers that a plain web server does not send.
"""

import base64
import hashlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from graft.errors import GraftError
from graft.machine.files import expanded, whole
from graft.machine.progress import shown
from graft.registry.cache import home

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
# which npm calls its integrity
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SIZE_MB = 34            # more is never read; the archive has 33.1 MB
MEMBERS = ("package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm")
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")     # not in the archive, but in ONNX Runtime for Python, its twin
FILES = tuple(f"{PACKAGE}/{member.rpartition('/')[2]}" for member in (*MEMBERS, *LICENCES))
REGISTRY = "https://registry.npmjs.org"
REGISTRY_VARIABLE = "npm_config_registry"       # npm's own
TIMEOUT_S = 30.0
_MEGABYTE = 1_000_000


def read_runtime(archive: str | Path | None = None) -> dict[str, bytes]:
    """The files that a page needs of onnxruntime-web, and its licences.

    Args:
        archive: the archive that `npm pack onnxruntime-web@VERSION` fetches. By default the one in the user's cache,
            which is fetched from npm's registry if it is not there: `npm_config_registry` or npm's public one.

    Returns:
        Each of `FILES` -> its contents.

    Raises:
        GraftError: if the archive cannot be read or fetched, or is not exactly the expected one.
    """
    data = _read_checked(expanded(archive)) if archive else _cached()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as members:      # in one pass: of these, one is the last
        programs = {each.name: members.extractfile(each).read()               # type: ignore[union-attr]
                    for each in members if each.name in MEMBERS}
    return dict(zip(FILES, [*(programs[name] for name in MEMBERS), *map(_licence, LICENCES)]))


def _cached() -> bytes:
    path = home() / PACKAGE / ARCHIVE
    if path.exists() and _is_expected(data := path.read_bytes()):
        return data
    data = _fetch()
    with whole(path) as unfinished:
        unfinished.write_bytes(data)
    return data


def _read_checked(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return _checked(file.read(SIZE_MB * _MEGABYTE), str(path))
    except OSError as error:
        raise GraftError(f"{path} cannot be read: {error.strerror}. Expected what `npm pack {PACKAGE}@{VERSION}` "
                         "fetches.") from error


def _fetch() -> bytes:
    """The archive from the registry. By urllib, which knows the user's proxies: the digest tells what may be used."""
    import http.client
    import urllib.request

    registry = (os.environ.get(REGISTRY_VARIABLE) or os.environ.get(REGISTRY_VARIABLE.upper()) or REGISTRY).rstrip("/")
    url, data = f"{registry}/{PACKAGE}/-/{ARCHIVE}", bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            for _ in shown(range(SIZE_MB), SIZE_MB, f"fetching {PACKAGE} {VERSION}", "megabyte"):
                data += answer.read(_MEGABYTE)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise GraftError(
            f"{PACKAGE} {VERSION} cannot be fetched from {_host(registry)}: {error}. Let {REGISTRY_VARIABLE} name a "
            f"registry that this machine reaches; or run `npm pack {PACKAGE}@{VERSION}` elsewhere, and name the file "
            f"by --runtime {ARCHIVE}.") from error
    return _checked(bytes(data), _host(registry))


def _host(registry: str) -> str:
    """Without the password that an address may contain."""
    return urlsplit(registry).hostname or registry


def _checked(data: bytes, source: str) -> bytes:
    if not _is_expected(data):
        raise GraftError(f"{source}: this is not {ARCHIVE}: its SHA-512 is {_sha512(data)}, expected {SHA512}. It was "
                         f"neither used nor kept. Fetch it from {REGISTRY}.")
    return data


def _is_expected(data: bytes) -> bool:
    return _sha512(data) == SHA512


def _sha512(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()


def _licence(name: str) -> bytes:
    """A licence of ONNX Runtime, found without importing it."""
    [package] = importlib.util.find_spec("onnxruntime").submodule_search_locations      # type: ignore[union-attr, misc]
    try:
        return Path(package, name).read_bytes()
    except OSError as error:
        raise GraftError(f"{Path(package, name)}: {error.strerror}. A page carries the licence of what it contains: "
                         "install onnxruntime from PyPI.") from error
