"""A proxy on loopback that stands before a real S3 server and does to it what networks and servers do.

    with faulty(server) as proxy:
        proxy.add(Fault("PUT", "/log/", "lose"))        the server does it, the client never hears of it
        proxy.add(Fault("GET", "/blobs/", 503, times=2))
"""

import http.client
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from s3_server import Server

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass
class Fault:
    """What happens to the next `times` requests that match.

    `what` is an HTTP status to answer with instead, or
        drop      reset the connection before the server hears of it
        lose      let the server do it, then reset the connection
        cut       send half of the body, then reset the connection
        corrupt   change one byte of the reply's body
        garble    change one byte of the request's body
        slow      send nothing for `seconds`, then all
    """

    method: str
    path: str
    what: str | int
    times: int = 1
    seconds: float = 0.0


@dataclass
class Proxy:
    server: Server
    upstream: int
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)       # (method, path) of all that came
    without: tuple[str, ...] = ()       # header names that are not passed on
    more: tuple[tuple[str, str], ...] = ()      # headers that each reply has in addition
    before: Callable[[int], None] = lambda number: None     # is called with each request's number, from 1 on

    def add(self, *faults: Fault) -> None:
        self.faults += faults

    def next_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


@contextmanager
def faulty(server: Server, tls: tuple | None = None) -> Iterator[Proxy]:
    """A proxy before `server`; with the files `(certificate, key)` it speaks TLS."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listener.daemon_threads = True
    port = listener.server_address[1]
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        # the handshake is the handler's: one that fails must not stop the listener
        listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    listener.proxy = Proxy(Server(url, port), server.port)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield listener.proxy
    finally:
        listener.shutdown()
        listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        proxy: Proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.requests.append((self.command, self.path))
        number = len(proxy.requests)
        proxy.before(number)
        fault = proxy.next_fault(self.command, self.path) or Fault("", "", "")
        if fault.what == "drop":
            return self._reset()
        if isinstance(fault.what, int):
            return self._answer(fault.what, [], f"<Error><Code>Injected{fault.what}</Code></Error>".encode())
        if fault.what == "garble":
            body = bytes([body[0] ^ 1]) + body[1:]
        status, headers, content = self._forward(body)
        time.sleep(fault.seconds)
        if fault.what == "lose":
            return self._reset()
        if fault.what == "corrupt":
            content = bytes([content[0] ^ 1]) + content[1:]
        return self._answer(status, headers, content, cut=fault.what == "cut")

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def _forward(self, body: bytes) -> tuple[int, list, bytes]:
        """As it came, with its Host header too: that is signed."""
        skip = HOP_BY_HOP | {name.lower() for name in self.server.proxy.without}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in skip:
                connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, [*reply.getheaders(), *self.server.proxy.more], content

    def _answer(self, status: int, headers: list, content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"} or (self.command, name.lower()) == (
                    "HEAD", "content-length"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:len(content) // 2] if cut else content)
        if cut:
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self) -> None:
        with suppress(OSError, ValueError):         # one side went away, as it may
            super().handle()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_) -> None:
        pass
