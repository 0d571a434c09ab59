"""Hostile inputs made by kind: addresses, JSON, YAML, names, objects, kept files, HTTP. See `benchmarks.hostile`."""

import contextlib
import io
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from graft import registry
from graft.errors import GraftError, UnreadableImage
from graft.machine.names import inside
from graft.model import bundle as bundles
from graft.predict.urls import fetch, is_public
from graft.registry import log, manifest
from graft.registry.signing import is_of
from pipeline import sealed
from pipeline.shards import Shards
from pipeline.training import checkpoints
from tasks.params import read_sections

LONGEST_S = 20
Attempts = Iterator[tuple[str, str, Callable[[], bool]]]        # kind, attempt, whether Graft holds
PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:0:7f00:1:0:0:80ff:fffe",
]
SPELLINGS = ("http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/", "http://[::ffff:7f00:1]/",
             "http://localhost/", "http://0/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/",
             "http://user@127.0.0.1/", "http://127.0.0.1:22/", "https://[::1]/", "http://①②⑦.0.0.1/")
JSON = {
    "lists in lists": b"[" * 100_000, "objects in objects": b'{"a":' * 100_000, "closed lists": b"[" * 150 + b"]" * 150,
    "1e999": b'{"format": 1e999}', "-1e999": b'{"number": -1e999}', "NaN": b'{"a": NaN}', "Infinity": b"[Infinity]",
    "a whole number of 5,000 digits": b"1" * 5000, "not UTF-8": b'{"\xff\xfe": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "5 MB": b'"' + b"a" * 5_000_000 + b'"', "cut": b'{"format": 1, "na', "empty": b"",
    "null": b"null", "a list": b"[1]",
    "a lone surrogate": b'{"\\ud800": "\\udfff"}', "a key twice": b'{"format": 1, "format": 2}',
}
YAML = {
    "anchors of 10^9": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n".encode() for n in range(9)),
    "an anchor in itself": b"a: &a [*a]", "a key in itself": b"&a {*a : 1}", "flow lists": b"a: " + b"[" * 50_000,
    "flow maps": b"a: " + b"{a: " * 50_000, "blocks": b"\n".join(b" " * n + b"a:" for n in range(3000)),
    "not UTF-8": b"a: \xff", "a Python object": b"a: !!python/object/apply:os.system [id]",
    "a binary": b"a: !!binary x",
    "a list as a key": b"[1, 2]: 3", "5 MB": b"a: " + b"x" * 5_000_000, "a NUL": b"a: \0", "a time": b"a: 2026-99-99",
    "a set": b"--- !!set {a, b}", "two documents": b"a: 1\n---\nb: 2",
    "a whole number of 10,000 digits": b"a: " + b"9" * 10_000,
}
NAMES = [
    "../x", "../../x", "a/../../x", "a/./x", "/etc/x", "//x", "a//x", "C:\\x", "C:x", "..\\x", "a\\..\\x", "con",
    "NUL.txt", "com1.npz", ".", "..", "~", "~root/x", ".hidden", "-rf", "%2e%2e/x", "x.", "x:y", "a|b", "a*b", "", " ",
    "a b", "a\0b", "a\nb", "a\x1b[2J", "x" * 300, "é", "a\u202eb",
]
VERSION = manifest.Manifest("a", 1, {}, [], {}, "")


def attempts() -> Attempts:
    """All of them."""
    yield from _addresses()
    yield from _texts()
    yield from _names()
    yield from _objects()
    yield from _kept_files()
    yield from _requests()


class Hangs(BaseException):
    """An attempt takes longer than `LONGEST_S`."""


def _hangs(*_: object) -> None:
    raise Hangs


def _refused(action: Callable[[], object]) -> bool:
    """Whether an action ends with a reason, soon."""
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(LONGEST_S)
    try:
        action()
    except (GraftError, UnreadableImage):
        return True
    finally:
        signal.alarm(0)
    return False


def _addresses() -> Attempts:
    for address in PRIVATE:
        yield "private addresses", address, partial(lambda address: not is_public(address), address)
    for url in SPELLINGS:
        yield "spellings of this machine", url, partial(_refused, partial(fetch, url))


def _texts() -> Attempts:
    with tempfile.TemporaryDirectory() as folder:
        for what, data in JSON.items():
            Path(folder, bundles.DESCRIPTION).write_bytes(data)
            yield "JSON as a manifest", what, partial(_refused, partial(manifest.decode, data, "a", 1, "x"))
            yield "JSON as an entry of a log", what, partial(_refused, partial(log.decode, data, "x"))
            yield "JSON as a signature", what, partial(lambda data: not is_of(data, VERSION), data)
            yield "JSON as a model's description", what, partial(_refused, partial(bundles.read_description, folder))
        for what, data in YAML.items():
            Path(folder, "params.yaml").write_bytes(data)
            yield "YAML as parameters", what, partial(_read_or_refused, Path(folder, "params.yaml"))


def _read_or_refused(path: Path) -> bool:
    return _refused(partial(read_sections, path)) or isinstance(read_sections(path), dict)


def _names() -> Attempts:
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            yield "names as paths", ascii(name[:20]), partial(_refused, partial(inside, Path(folder), name))
            yield "names as files of a version", ascii(name[:20]), partial(_is_no_file_name, name)


def _is_no_file_name(name: str) -> bool:
    return not manifest.is_file_name(name)


def _objects() -> Attempts:
    """Objects of a registry that were exchanged: a reader who has seen nothing before gets the right files or none."""
    def exchanged(change: Callable[[Path], object]) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            address = _registry(Path(folder))
            change(Path(address))
            return (_refused(partial(registry.pull, f"{address}/m@1", Path(folder, "to")))
                    or Path(folder, "to/model.onnx").read_bytes() == Path(folder, "bundle/model.onnx").read_bytes())

    for kind in ("blobs", "models/m/versions", "models/m/log"):
        for what, change in CHANGES.items():
            yield f"objects of a registry: {kind}", what, partial(exchanged, partial(_change, kind, change))


def _registry(folder: Path) -> str:
    from tiny_bundle import make_bundle

    os.environ["GRAFT_HOME"] = str(folder / "home")
    address = str(folder / "registry")
    registry.publish(make_bundle(folder / "bundle"), "m", address)
    registry.promote("m@1", registry=address)
    return address


def _change(kind: str, change: Callable[[Path], object], address: Path) -> None:
    path = next(path for path in sorted((address / kind).rglob("*"), key=lambda path: path.stat().st_size, reverse=True)
                if path.is_file())
    data = path.read_bytes()
    path.unlink()
    change(path)
    assert not path.is_file() or path.is_symlink() or path.read_bytes() != data


CHANGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""), "zeros": lambda path: path.write_bytes(bytes(1000)),
    "larger": lambda path: path.write_bytes(bytes(5_000_000)), "a pipe": os.mkfifo, "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
}


def _kept_files() -> Attempts:
    """Flipped bits in what is kept in .graft."""
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), [np.arange(50.0)]
        Shards(folder).write(["a"], np.ones((1, 4, 4, 8), np.float16))
        checkpoints.write(folder / "c.npz", {"epoch": 1}, now=now)
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            for at in range(0, len(data), len(data) // 7):
                path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
                yield "bits flipped in kept files", f"{path.suffix} at {at}", partial(_is_noticed, path)


def _is_noticed(path: Path) -> bool:
    with contextlib.redirect_stdout(io.StringIO()):
        return not sealed.is_sound(path)


def _requests() -> Attempts:
    """Raw HTTP. Refused or answered, and then the server answers another client."""
    from live_server import live_server
    from tiny_bundle import make_bundle

    with tempfile.TemporaryDirectory() as folder, live_server(make_bundle(Path(folder, "model"))) as client:
        for what, data in REQUESTS.items():
            yield "raw HTTP", what, partial(_is_survived, client, data)


def _is_survived(client, data: bytes) -> bool:
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=LONGEST_S) as sock:
        answer = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while received := sock.recv(65_536):
                answer += received
    return not answer[9:].startswith(b"5") and client.get("/healthz").status_code == 200


def _post(head: bytes, body: bytes = b"") -> bytes:
    return b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + body


def _form(parts: bytes) -> bytes:
    return _post(b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n" % len(parts), parts)


PNG, PART = b"Content-Type: image/png\r\n", b'--b\r\nContent-Disposition: form-data; name="a"'
REQUESTS = {
    "two lengths": _post(PNG + b"Content-Length: 1\r\nContent-Length: 2\r\n", b"xx"),
    "a length and chunks": _post(PNG + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                                 b"0\r\n\r\nGET / HTTP/1.1\r\n"),
    "a negative length": _post(PNG + b"Content-Length: -1\r\n"), "a length of 10^30": _post(
        PNG + b"Content-Length: 1" + b"0" * 30 + b"\r\n"), "a length in words": _post(PNG + b"Content-Length: ten\r\n"),
    "a chunk of 10^18": _post(PNG + b"Transfer-Encoding: chunked\r\n", b"fffffffffffffff\r\nx"),
    "a chunk of -1": _post(PNG + b"Transfer-Encoding: chunked\r\n", b"-1\r\nx"),
    "chunks twice": _post(PNG + b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "an encoding with a tab": _post(PNG + b"Transfer-Encoding:\tchunked\r\n", b"0\r\n\r\n"),
    "gzip": _post(PNG + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"\x1f\x8b"),
    "10,000 headers": _post(b"a: b\r\n" * 10_000), "a header of 1 MB": _post(b"a: " + b"x" * 1_000_000 + b"\r\n"),
    "a folded header": _post(b"a: b\r\n c\r\n"), "a NUL in a header": _post(b"a: \0\r\n"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "a path of 1 MB": b"GET /" + b"x" * 1_000_000,
    "a path out of the root": b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/0.9": b"GET /\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n", "TLS": b"\x16\x03\x01\x02\x00\x01\x00", "nothing": b"",
    "zeros": bytes(10_000),
    "a proxy's request": b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", "TRACE": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a WebSocket": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "a form without a boundary": _post(
        b"Content-Type: multipart/form-data\r\nContent-Length: 1\r\n", b"x"),
    "a boundary of 10 kB": _post(b"Content-Type: multipart/form-data; boundary=" + b"x" * 10_000 + b"\r\n"),
    "20,000 parts": _form((PART + b"\r\n\r\nx\r\n") * 20_000 + b"--b--\r\n"),
    "2,000 files": _form((PART + b'; filename="x"\r\n\r\nx\r\n') * 2000 + b"--b--\r\n"),
    "a part with 5,000 headers": _form(PART + b"\r\n" + b"a: b\r\n" * 5000 + b"\r\nx\r\n--b--\r\n"),
    "a file name of 1 MB": _form(PART + b'; filename="' + b"x" * 1_000_000 + b'"\r\n\r\nx\r\n--b--\r\n'),
    "a file name of escapes": _form(PART + b'; filename="\x1b[2J\x00=cmd"\r\n\r\nx\r\n--b--\r\n'),
    "a form in a form": _form(PART + b"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
                              b"--c\r\n\r\nx\r\n--c--\r\n--b--\r\n"),
    "top=10^6": b"POST /v1/predict?top=1000000 HTTP/1.1\r\nHost: x\r\n\r\n", "a query of 60 kB": (
        b"POST /v1/predict?" + b"&".join([b"top=5"] * 10_000) + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
}
